/** What a recording's page reads beside the recording, on the server first and then in the browser. */
import { queryOptions } from '@tanstack/react-query'
import type { Client } from '@/lib/soundscape/database'

export const likeQuery = (supabase: Client, id: string, userId: string | null) =>
  queryOptions({
    queryKey: ['like', id, userId],
    queryFn: async () => {
      const { data, error } = await supabase.from('likes').select('id').eq('audio_id', id).maybeSingle()
      if (error) throw error
      return data !== null
    },
  })

export const playlistsQuery = (supabase: Client, userId: string | null) =>
  queryOptions({
    queryKey: ['playlists', 'mine', userId],
    queryFn: async () => {
      const { data, error } = await supabase.from('playlists').select('id, title').eq('user_id', userId ?? '').order('title')
      if (error) throw error
      return data
    },
  })

export const captionQuery = (supabase: Client, id: string) =>
  queryOptions({
    queryKey: ['caption', id],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('audio_captions').select('status, error_code, caption, keywords, is_by_owner, is_wanted, model').eq('audio_id', id).maybeSingle()
      if (error) throw error
      return data
    },
  })
