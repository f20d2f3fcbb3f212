// Drives supabase-js' storage and tus-js-client against a running project, and prints one JSON object of what
// it saw. argv: the folder whose node_modules hold both; stdin: {url, key, token, user, other, bucket}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const require = createRequire(process.argv[2] + '/')
const { createClient } = require('@supabase/supabase-js')
const tus = require('tus-js-client')
const given = JSON.parse(readFileSync(0, 'utf8'))
const seen = {}

const client = (token) =>
  createClient(given.url, given.key, {
    auth: { persistSession: false, autoRefreshToken: false },
    global: token ? { headers: { Authorization: `Bearer ${token}` } } : {},
  })
const server = createClient(given.url, given.secret, { auth: { persistSession: false, autoRefreshToken: false } }).storage
const files = client(given.token).storage.from(given.bucket)
const theirs = client(given.other).storage.from(given.bucket)
const name = (file) => `${given.user}/${file}`
const code = ({ error }) => error && { status: error.status, statusCode: error.statusCode, code: error.code }
const text = async ({ data, error }) => (error ? code({ error }) : await data.text())

// uploads: a blob goes as a form, bytes and streams go raw
const blob = new Blob(['from a blob'], { type: 'audio/ogg' })
const options = { cacheControl: '60', contentType: 'audio/mpeg', metadata: { title: 'Grün' } }
const form = await files.upload(name('blob.ogg'), blob, { ...options, contentType: undefined })
seen.form = { error: form.error, keys: Object.keys(form.data ?? {}).sort(), fullPath: form.data?.fullPath }
seen.raw = code(await files.upload(name('raw.mp3'), new Uint8Array([1, 2, 3]), options))
const stream = new Blob(['streamed ', 'bytes']).stream()
seen.stream = code(await files.upload(name('stream.mp3'), stream, { ...options, duplex: 'half' }))
seen.duplicate = code(await files.upload(name('raw.mp3'), 'again', options))
seen.upsert = code(await files.upload(name('raw.mp3'), 'again', { ...options, upsert: true }))
seen.update = code(await files.update(name('raw.mp3'), 'updated', options))
seen.denied = code(await theirs.upload(name('not mine'), 'x', options))
seen.invalid = code(await files.upload(name('ünder'), 'x', options))

// buckets, public reading and limits, as the server
const limits = { public: true, fileSizeLimit: '1kB', allowedMimeTypes: ['audio/*'] }
seen.bucket_made = (await server.createBucket(given.own, limits)).data
seen.bucket_again = code(await server.createBucket(given.own))
const own = (await server.getBucket(given.own)).data
seen.bucket = { public: own.public, limit: own.file_size_limit, types: own.allowed_mime_types }
seen.bucket_listed = (await server.listBuckets()).data.some((bucket) => bucket.id === given.own)
seen.user_makes_bucket = code(await client(given.token).storage.createBucket(`${given.own}-2`))
seen.too_large = code(await server.from(given.own).upload('a', new Uint8Array(1001), options))
seen.wrong_type = code(await server.from(given.own).upload('a', 'x', { contentType: 'image/png' }))
await server.from(given.own).upload('open.mp3', 'for all', options)
seen.public = await (await fetch(server.from(given.own).getPublicUrl('open.mp3').data.publicUrl)).text()
seen.not_public = (await fetch(server.from(given.bucket).getPublicUrl(name('raw.mp3')).data.publicUrl)).status
seen.bucket_full = code(await server.deleteBucket(given.own))
seen.bucket_updated = (await server.updateBucket(given.own, { public: false })).data
seen.bucket_emptied = code(await server.emptyBucket(given.own))
seen.bucket_deleted = given.queued ? 'queued' : (await server.deleteBucket(given.own)).data
seen.no_bucket = code(await server.getBucket(`${given.own}-none`))
const transform = { transform: { width: 10 } }
seen.transform = code(await files.createSignedUrl(name('raw.mp3'), 60, transform))

// reading
seen.blob = await text(await files.download(name('blob.ogg')))
seen.streamed = await text(await files.download(name('stream.mp3')))
seen.updated = await text(await files.download(name('raw.mp3')))
seen.hidden = await text(await theirs.download(name('raw.mp3')))
const info = (await files.info(name('blob.ogg'))).data
seen.info = { size: info?.size, type: info?.contentType, cache: info?.cacheControl, metadata: info?.metadata }
seen.exists = (await files.exists(name('raw.mp3'))).data
seen.exists_not = (await files.exists(name('none'))).data

// signed
const signed = await files.createSignedUrl(name('blob.ogg'), 60, { download: 'my file.ogg' })
const fetched = await fetch(signed.data.signedUrl)
seen.signed = [fetched.status, await fetched.text(), fetched.headers.get('content-disposition')]
const batch = await files.createSignedUrls([name('blob.ogg'), name('none')], 60)
seen.batch = batch.data.map(({ error, signedUrl }) => [error, Boolean(signedUrl)])
seen.batch_read = await (await fetch(batch.data[0].signedUrl)).text()
const permit = (await files.createSignedUploadUrl(name('permit'))).data
const anybody = client().storage.from(given.bucket)
seen.by_permit = code(await anybody.uploadToSignedUrl(permit.path, permit.token, blob))
seen.by_permit_again = code(await anybody.uploadToSignedUrl(permit.path, permit.token, blob))

// list, move, copy, remove
const listed = (await files.list(given.user, { sortBy: { column: 'name', order: 'asc' } })).data
seen.listed = listed.map((item) => item.name)
const page = (await files.listV2({ prefix: `${given.user}/`, limit: 2 })).data
seen.list_v2 = [page.hasNext, page.objects.length]
seen.copy = (await files.copy(name('blob.ogg'), name('copy.ogg'))).data
seen.move = (await files.move(name('copy.ogg'), name('moved.ogg'))).data
seen.removed = (await files.remove([name('moved.ogg'), name('none')])).data.map((item) => item.name)

// resumable: in pieces, broken off and gone on with, refused
const body = Buffer.alloc(1_000_000, 'resumable ')
function resumable(file, more = {}, headers = {}) {
  let upload
  const done = new Promise((resolve) => {
    upload = new tus.Upload(body, {
      endpoint: `${given.url}/storage/v1/upload/resumable`,
      chunkSize: 300_000,
      retryDelays: [0, 50, 200],
      headers: { authorization: `Bearer ${given.token}`, ...headers },
      metadata: { bucketName: given.bucket, objectName: name(file), contentType: 'audio/wav', cacheControl: '60' },
      removeFingerprintOnSuccess: true,
      onSuccess: () => resolve('done'),
      onError: (error) => resolve(error.originalResponse?.getStatus() ?? String(error)),
      ...more(() => upload, resolve),
    })
    upload.start()
  })
  return { done, upload: () => upload }
}
const plain = () => ({})
seen.tus = await resumable('tus.wav', plain).done
seen.tus_whole = (await text(await files.download(name('tus.wav')))) === body.toString()
seen.tus_duplicate = await resumable('tus.wav', plain).done
seen.tus_upsert = await resumable('tus.wav', plain, { 'x-upsert': 'true' }).done
seen.tus_with_creation = await resumable('with.wav', () => ({ uploadDataDuringCreation: true })).done
seen.tus_denied = await resumable('x', plain, { authorization: `Bearer ${given.other}` }).done
let url
const broken = resumable('broken.wav', (upload, resolve) => ({
  onChunkComplete: (_, accepted) => {
    if (accepted < 600_000) return
    url = upload().url
    upload().abort()
    resolve('aborted')
  },
}))
seen.tus_broken = await broken.done
const offsets = []
seen.tus_resumed = await resumable('broken.wav', () => ({
  uploadUrl: url,
  onProgress: (sent) => offsets.push(sent),
})).done
seen.tus_resumed_from = offsets[0]
seen.tus_resumed_whole = (await text(await files.download(name('broken.wav')))) === body.toString()
if (!given.queued) {
  seen.tus_deferred = await resumable('deferred.wav', () => ({ uploadLengthDeferred: true })).done
  seen.tus_signed = await resumable('signed.wav', () => ({
    endpoint: `${given.url}/storage/v1/upload/resumable/sign`,
    headers: { 'x-signature': permit.token },
  })).done
}

process.stdout.write(JSON.stringify(seen))
