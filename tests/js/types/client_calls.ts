// The calls that the design promises, held against the types that the project's schema gives.
import { createClient } from '@supabase/supabase-js'
import type { Database, Tables, TablesInsert } from './database.types'

declare const bytes: Uint8Array
declare const filename: string

const supabase = createClient<Database>('http://127.0.0.1:8000', 'sb_publishable_key')

export async function calls(): Promise<void> {
  const signedUp = await supabase.auth.signUp({ email: 'a@example.com', password: 'correct horse' })
  await supabase.auth.signInWithPassword({ email: 'a@example.com', password: 'correct horse' })
  const userId: string = signedUp.data.user!.id

  const users = await supabase.from('users').select('*').eq('id', userId)
  const name: string | null = users.data![0].display_name

  await supabase.storage.from('audio-files').upload('public/' + filename, bytes, { contentType: 'audio/mpeg', cacheControl: '3600' })
  await supabase.storage.from('audio-files').createSignedUrl('public/' + filename, 3600)
  const row: TablesInsert<'audio_files'> = {
    title: 'Dawn chorus', user_id: userId, duration: 1.5, file_path: 'public/' + filename, is_public: false,
  }
  await supabase.from('audio_files').insert([row])
  // Only these two are asked of everybody: the rest has defaults or is measured.
  await supabase.from('audio_files').insert([{ title: 'Dawn chorus', file_path: 'public/' + filename }])
  const mine = await supabase.from('audio_files').select('*').eq('user_id', userId)
  const status: string = mine.data![0].status

  const features = await supabase.from('audio_features').select('*').eq('audio_id', mine.data![0].id).single()
  const tempo: number | null = features.data!.tempo_bpm
  const waveform: string = features.data!.waveform_path

  // Embedding follows the foreign keys, in the types as in the database.
  const listed = await supabase.from('audio_files').select('id, title, audio_features (key, mode), users (username)')
  const key: string | null | undefined = listed.data![0].audio_features?.key
  const username: string | null = listed.data![0].users.username

  const found = await supabase.rpc('search_audio', { query: 'chorus' })
  const first: Tables<'audio_files'> = found.data![0].recording

  supabase.channel('mine').on<Tables<'audio_files'>>(
    'postgres_changes',
    { event: 'UPDATE', schema: 'public', table: 'audio_files', filter: `user_id=eq.${userId}` },
    ({ new: changed }) => console.log(changed.status, changed.error_code),
  ).subscribe()
  await supabase.auth.signOut()
  console.log(name, status, tempo, waveform, key, username, first.title)
}

export async function mistakes(): Promise<void> {
  // @ts-expect-error: no such table
  await supabase.from('audio_file').select('*')
  // @ts-expect-error: no such column
  await supabase.from('audio_files').insert([{ title: 'x', file_path: 'y', colour: 'blue' }])
  // @ts-expect-error: a title is needed
  await supabase.from('audio_files').insert([{ file_path: 'y' }])
  // @ts-expect-error: no such function
  await supabase.rpc('execute_sql', { query: 'select 1' })
  // @ts-expect-error: no such column to filter by
  await supabase.from('users').select('*').eq('email', 'a@example.com')
}
