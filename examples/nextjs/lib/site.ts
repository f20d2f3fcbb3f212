/** Where this application is, for links that leave it: previews, feeds, mails. */
const configured = process.env.NEXT_PUBLIC_SITE_URL

/** The application's own address. Behind a proxy the request does not know it: NEXT_PUBLIC_SITE_URL does. */
export function siteUrl(request?: { headers: Headers }): string {
  const host = request?.headers.get('host')
  return configured || (host ? `http://${host}` : 'http://127.0.0.1:3000')
}

/** A path of our own: a link to another host would carry the reader away. */
export function pathWithin(path: string | null | undefined, otherwise: string): string {
  return path && /^\/(?![/\\])/.test(path) ? path : otherwise
}

/** The identity providers that the project has, such as "google,github". */
export const providers = (process.env.NEXT_PUBLIC_AUTH_PROVIDERS ?? '').split(',').filter(Boolean)
