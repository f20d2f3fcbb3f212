import type { NextConfig } from 'next'

const config: NextConfig = {
  // The tests build for a project of their own, beside the build that people look at.
  distDir: process.env.SOUNDSCAPE_BUILD_FOLDER ?? '.next',
  poweredByHeader: false,
  reactStrictMode: true,
  // supabase/database.types.ts lies beside this folder, and only its types are used.
  // scripts/web skips the check of types, which scripts/test-web makes.
  typescript: { ignoreBuildErrors: process.env.SOUNDSCAPE_SKIP_TYPES === '1' },
  experimental: { externalDir: true },
}

export default config
