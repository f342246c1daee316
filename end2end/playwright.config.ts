/**
 * How the browser tests run. `cargo xtask test e2e` builds what they need and starts them; by hand:
 * `cargo xtask build && cd end2end && npx playwright test`.
 */
import { defineConfig, devices } from '@playwright/test';

/** Chromium's own traffic has no place in a test, and where there is no network it only fails. */
const quiet = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
];

const root = process.getuid?.() === 0;

export default defineConfig({
  testDir: './tests',
  outputDir: './test-results',
  // A file's tests share its server, so they run in order; two files run side by side.
  fullyParallel: false,
  workers: 2,
  forbidOnly: !!process.env.CI,
  retries: 0,
  // Generous, because the machine may be small and busy: a test waits for what it needs to see,
  // never for a time.
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [['list'], ['json', { outputFile: process.env.PLAYWRIGHT_JSON_OUTPUT_FILE ?? 'test-results/results.json' }]],
  use: {
    ...devices['Desktop Chrome'],
    // Debian's Chromium: Playwright's own download is large and not always possible.
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      // Chromium's sandbox refuses to start as root.
      args: root ? [...quiet, '--no-sandbox'] : quiet,
    },
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
  },
});
