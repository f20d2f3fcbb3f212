// What the official CLI does not know, and the corrected types say. Each expected error must be one.
import { createClient } from '@supabase/supabase-js'
import type { AudioFilesStatus, Database, License, NotificationKind } from './database.types'

const supabase = createClient<Database>('http://127.0.0.1:8000', 'sb_publishable_key')

export async function corrected(audioId: string): Promise<void> {
  const { data: row } = await supabase.from('audio_files').select('*').eq('id', audioId).single()
  const status: AudioFilesStatus = row!.status
  const licence: License | null = row!.license
  const source: string | undefined = row!.sources[0]?.url
  const share: number | undefined = row!.heard['Rain']
  // @ts-expect-error There is no such status.
  if (row!.status === 'done') return
  // @ts-expect-error There is no such licence.
  await supabase.from('audio_files').update({ license: 'mine' }).eq('id', audioId)
  await supabase.from('audio_files').update({ license: 'CC0-1.0', sources: [{ title: 'Rain' }] }).eq('id', audioId)

  const { data: features } = await supabase.from('audio_features').select('descriptors, pictures').single()
  const loudness: number | null | undefined = features!.descriptors.loudness?.integrated_lufs
  const picture: string | undefined = features!.pictures.thumbnail
  // @ts-expect-error Nothing is measured under that name.
  void features!.descriptors.taste

  const { data: similar } = await supabase.rpc('similar_audio', { audio_id: audioId })
  // @ts-expect-error It is null where the recording holds no such sound.
  const timbre: number = similar![0].timbre
  const score: number = similar![0].score
  const { data: offered } = await supabase.rpc('recommended_audio', {})
  // @ts-expect-error It is null where nothing of the user's was the reason.
  const because: string = offered![0].because_of
  const kind: NotificationKind = (
    await supabase.from('notifications').select('kind').single()
  ).data!.kind

  // @ts-expect-error It is for the worker.
  await supabase.rpc('claim_jobs', { worker: 'me' })
  // Two foreign keys lead from audio_matches to audio_files: the name of one says which is meant.
  const { data: matched } = await supabase
    .from('audio_files')
    .select('id, matches:audio_matches!audio_matches_audio_id_fkey(kind, confidence, matched_audio_id)')
  const found: 'identical' | 'same_recording' | 'contains' | 'shared_passage' = matched![0].matches[0].kind
  void [status, licence, source, share, loudness, picture, timbre, score, because, kind, found]
}
