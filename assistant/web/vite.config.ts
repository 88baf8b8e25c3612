import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

import packageJson from "./package.json" with { type: "json" };

const gateway = "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  define: { __APP_VERSION__: JSON.stringify(packageJson.version) },
  build: {
    target: "es2022",
    // Nothing is inlined: the page runs under `default-src 'self'`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" }, // Of what is bundled.
  },
  server: {
    proxy: { "/v1": { target: gateway, ws: true }, "/healthz": gateway },
  },
  test: { environment: "node", include: ["tests/**/*.test.{ts,tsx}"] },
});
