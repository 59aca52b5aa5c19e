import { join } from 'node:path'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'
import { ironrdp } from './build/ironrdp.ts'

const root = import.meta.dirname

export default defineConfig({
  base: '/web/',
  plugins: [react(), ironrdp(join(root, '.wasm'))],
  optimizeDeps: { exclude: ['@devolutions/iron-remote-desktop', '@devolutions/iron-remote-desktop-rdp'] },
  server: { fs: { allow: [root, join(root, '../provision')] } }, // the service's templates of runs
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // nothing in data: URLs: the policy does not let them load
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
    manifest: 'manifest.json', // for the budgets
    rolldownOptions: { input: { index: join(root, 'index.html'), portal: join(root, 'portal.html') } },
  },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'] },
})
