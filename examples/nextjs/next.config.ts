import type { NextConfig } from 'next'

const config: NextConfig = {
  poweredByHeader: false,
  reactStrictMode: true,
  // supabase/database.types.ts lies beside this folder, and only its types are used.
  experimental: { externalDir: true },
}

export default config
