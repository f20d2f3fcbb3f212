/** Uploads: resumable, with progress, in chunks of 6 MB as Supabase Storage wants them. */
import * as tus from 'tus-js-client'
import type { Client } from '@/lib/supabase/browser'
import { publishableKey, supabaseUrl } from '@/lib/supabase/settings'

const CHUNK_BYTES = 6 * 1024 * 1024
export const BUCKET = 'audio-files'

export interface UploadEvents {
  onProgress: (sentBytes: number, totalBytes: number) => void
  /** The object is whole, and its row is there: the title in its metadata made it. */
  onDone: (path: string) => void
  /** `message` is the server's own sentence where it gave one. */
  onError: (message: string) => void
}

export interface Upload {
  pause: () => void
  resume: () => void
  cancel: () => Promise<void>
}

/**
 * Start uploading a file into the caller's folder. A file that was begun before, in this browser, goes on
 * where it stopped, also after a reload.
 *
 * Throws when nobody is signed in.
 */
export async function startUpload(supabase: Client, file: File, events: UploadEvents): Promise<Upload> {
  const { data } = await supabase.auth.getSession()
  if (!data.session) throw new Error('Sign in to upload.')
  const path = `${data.session.user.id}/${crypto.randomUUID()}${suffixOf(file.name)}`
  const upload = new tus.Upload(file, {
    endpoint: `${supabaseUrl}/storage/v1/upload/resumable`,
    chunkSize: CHUNK_BYTES,
    retryDelays: [0, 1000, 3000, 5000, 10000],
    uploadDataDuringCreation: true,
    removeFingerprintOnSuccess: true,
    headers: { apikey: publishableKey, 'x-upsert': 'false' },
    metadata: {
      bucketName: BUCKET,
      objectName: path,
      contentType: file.type || 'application/octet-stream',
      cacheControl: '3600',
      metadata: JSON.stringify({ title: titleOf(file.name) }),
    },
    // A long upload outlives its token: every request asks for the present one.
    onBeforeRequest: async (request) => {
      const { data: present } = await supabase.auth.getSession()
      request.setHeader('authorization', `Bearer ${present.session?.access_token ?? publishableKey}`)
    },
    onProgress: events.onProgress,
    onSuccess: () => events.onDone(upload.options.metadata?.objectName ?? path),
    onError: (error) => events.onError(sentenceOf(error)),
  })
  const [earlier] = await upload.findPreviousUploads()
  if (earlier) {
    upload.resumeFromPreviousUpload(earlier)
    upload.options.metadata = { ...upload.options.metadata, ...earlier.metadata }
  }
  upload.start()
  return {
    pause: () => void upload.abort(),
    resume: () => upload.start(),
    cancel: () => upload.abort(true),
  }
}

/** "2026-05-01 Dawn chorus.flac" becomes "2026-05-01 Dawn chorus". */
export function titleOf(fileName: string): string {
  return fileName.replace(/\.[^.]{1,5}$/, '').trim().slice(0, 200) || fileName
}

function suffixOf(fileName: string): string {
  return /\.[a-z0-9]{1,5}$/i.exec(fileName)?.[0].toLowerCase() ?? ''
}

function sentenceOf(error: Error | tus.DetailedError): string {
  const body = 'originalResponse' in error ? error.originalResponse?.getBody() : undefined
  if (!body) return 'The connection broke. Resume when you are online again.'
  try {
    const { message } = JSON.parse(body) as { message?: string }
    return message ?? body
  } catch {
    return body
  }
}
