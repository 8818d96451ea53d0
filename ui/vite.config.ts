import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import { defineConfig } from 'vitest/config';

// `npm run dev` shows the pages with live reload against a daemon (or `npm run mock`) at this address.
const daemon = process.env.CAMPANILE_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte(), svelteTesting()],
  // The content security policy lets nothing in by data: URI.
  build: { assetsInlineLimit: 0, target: 'es2022' },
  // Tests read the codes of results, states and refusals from the Rust sources beside this folder.
  server: { proxy: { '/api': daemon }, fs: { allow: ['..'] } },
  test: { environment: 'jsdom', include: ['src/**/*.test.ts'] },
});
