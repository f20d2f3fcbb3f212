/** Where the Supabase project is. Both values are public: they are in every page that a browser gets. */
export const supabaseUrl = required('NEXT_PUBLIC_SUPABASE_URL', process.env.NEXT_PUBLIC_SUPABASE_URL)
export const publishableKey = required(
  'NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY',
  process.env.NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY,
)
/** Where the worker answers: beside the project in development, an address of its own elsewhere. */
export const workerUrl = process.env.NEXT_PUBLIC_SOUNDSCAPE_WORKER_URL || supabaseUrl

function required(name: string, value: string | undefined): string {
  if (!value) {
    throw new Error(`${name} is not set. Run: scripts/soundscape env --format next > examples/nextjs/.env.local`)
  }
  return value
}
