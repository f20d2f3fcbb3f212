/** Uploads: resumable, with progress, in chunks of 6 MB as Supabase Storage wants them. */
import type { DetailedError, PreviousUpload, UploadOptions } from 'tus-js-client'
import type { Client, Project } from './database'

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

/** An upload that was begun in this browser and is not whole. The browser forgot the file, but not how far it came. */
export interface Interrupted {
  key: string
  title: string
  sizeBytes: number
  address: string
}

/**
 * Start uploading a file into the caller's folder. A file that was begun before, in this browser, goes on
 * where it stopped, also after a reload.
 *
 * Throws when nobody is signed in.
 */
export async function startUpload(supabase: Client, project: Project, file: File, events: UploadEvents): Promise<Upload> {
  const tus = await import('tus-js-client')
  const { data } = await supabase.auth.getSession()
  if (!data.session) throw new Error('Sign in to upload.')
  const userId = data.session.user.id
  const path = `${userId}/${crypto.randomUUID()}${suffixOf(file.name)}`
  const upload = new tus.Upload(file, {
    ...(await authorized(supabase, project)),
    chunkSize: CHUNK_BYTES,
    retryDelays: [0, 1000, 3000, 5000, 10000],
    uploadDataDuringCreation: true,
    removeFingerprintOnSuccess: true,
    fingerprint: async () => `${prefixOf(userId)}${[file.name, file.size, file.lastModified].join('-')}`,
    metadata: {
      bucketName: BUCKET,
      objectName: path,
      contentType: file.type || 'application/octet-stream',
      cacheControl: '3600',
      metadata: JSON.stringify({ title: titleOf(file.name) }),
    },
    onProgress: events.onProgress,
    onSuccess: () => events.onDone(upload.options.metadata?.objectName ?? path),
    onError: (error) => events.onError(sentenceOf(error)),
    // A refusal stays a refusal. Only what may be otherwise in a moment is tried again.
    onShouldRetry: (error) => {
      const status = error.originalResponse?.getStatus() ?? 0
      return status === 0 || status === 409 || status === 423 || status === 429 || status >= 500
    },
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

/** The caller's uploads that wait for their file, after a reload for example. */
export async function findInterrupted(userId: string): Promise<Interrupted[]> {
  const tus = await import('tus-js-client')
  const all: PreviousUpload[] = (await tus.defaultOptions.urlStorage?.findAllUploads()) ?? []
  return all.flatMap((each) => {
    if (!each.urlStorageKey.startsWith(`tus::${prefixOf(userId)}`) || !each.uploadUrl) return []
    const { title } = JSON.parse(each.metadata.metadata ?? '{}') as { title?: string }
    return [{ key: each.urlStorageKey, title: title ?? 'Untitled', sizeBytes: each.size ?? 0, address: each.uploadUrl }]
  })
}

/** Delete what was sent of an interrupted upload. */
export async function discardInterrupted(supabase: Client, project: Project, upload: Interrupted): Promise<void> {
  const tus = await import('tus-js-client')
  await tus.defaultOptions.urlStorage?.removeUpload(upload.key)
  await tus.Upload.terminate(upload.address, await authorized(supabase, project))
}

/** "2026-05-01 Dawn chorus.flac" becomes "2026-05-01 Dawn chorus". */
export function titleOf(fileName: string): string {
  return fileName.replace(/\.[^.]{1,5}$/, '').trim().slice(0, 200) || fileName
}

async function authorized(supabase: Client, { url, publishableKey }: Project): Promise<UploadOptions> {
  return {
    endpoint: `${url}/storage/v1/upload/resumable`,
    headers: { apikey: publishableKey, 'x-upsert': 'false' },
    // A long upload outlives its token: every request asks for the present one.
    onBeforeRequest: async (request) => {
      const { data } = await supabase.auth.getSession()
      request.setHeader('authorization', `Bearer ${data.session?.access_token ?? publishableKey}`)
    },
  }
}

function prefixOf(userId: string): string {
  return `soundscape-${userId}-`
}

function suffixOf(fileName: string): string {
  return /\.[a-z0-9]{1,5}$/i.exec(fileName)?.[0].toLowerCase() ?? ''
}

function sentenceOf(error: Error | DetailedError): string {
  const body = 'originalResponse' in error ? error.originalResponse?.getBody() : undefined
  if (!body) return 'The connection broke. Resume when you are online again.'
  try {
    const { message } = JSON.parse(body) as { message?: string }
    return message ?? body
  } catch {
    return body
  }
}
