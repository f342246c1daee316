/**
 * `test` for this project: every test file has a server of its own, started at its first test, and
 * every test fails on what a person would find in the browser's console.
 */
import { test as base, expect } from '@playwright/test';
import { Aws } from './aws';
import { Server } from './server';

/** What the pages of a test complained about. */
export class Problems {
  private readonly seen: string[] = [];
  private readonly allowed: RegExp[] = [];

  add(text: string): void {
    this.seen.push(text);
  }

  /** For a test that provokes it, such as a 422 that Chromium logs. */
  allow(pattern: RegExp): void {
    this.allowed.push(pattern);
  }

  left(): string[] {
    return this.seen.filter((text) => !this.allowed.some((pattern) => pattern.test(text)));
  }
}

type Options = {
  /** More settings for this file's server: `test.use({ serverEnv: { REGISTRATION: 'closed' } })`. */
  serverEnv: Record<string, string>;
};

type Fixtures = Options & {
  server: Server;
  problems: Problems;
};

/** The one server of a worker, and the file and settings that it belongs to. */
type Current = { key?: string; server?: Server };

export const test = base.extend<Fixtures, { current: Current; aws: Aws }>({
  serverEnv: [{}, { option: true }],

  // Started for the first test that asks for it:
  // `test.use({ serverEnv: async ({ aws }, use) => use(aws.environment()) })`.
  aws: [
    async ({}, use) => {
      const aws = await Aws.start();
      await use(aws);
      await aws.stop();
    },
    { scope: 'worker' },
  ],

  current: [
    async ({}, use) => {
      const current: Current = {};
      await use(current);
      await current.server?.stop();
    },
    { scope: 'worker' },
  ],

  server: async ({ current, serverEnv }, use, testInfo) => {
    const key = JSON.stringify([testInfo.file, serverEnv]);
    if (current.key !== key) {
      await current.server?.stop();
      current.server = undefined;
      current.server = await Server.start(serverEnv);
      current.key = key;
    }
    const server = current.server;
    if (!server) throw new Error('unreachable: a file without a server');
    const before = server.output().length;
    await use(server);
    if (testInfo.status !== testInfo.expectedStatus) {
      await testInfo.attach('server log', { body: server.output().slice(before), contentType: 'text/plain' });
    }
    const fate = server.fate();
    if (fate) {
      current.key = undefined;
      throw new Error(`${fate}:\n${server.output().slice(-4_000)}`);
    }
  },

  baseURL: async ({ server }, use) => use(server.url),

  problems: async ({}, use) => {
    const problems = new Problems();
    await use(problems);
    expect(problems.left(), 'errors in the browser').toEqual([]);
  },

  context: async ({ context, problems, server }, use) => {
    watch(context, problems, server.url);
    await use(context);
  },
});

/** A second person's browser, watched like the first's: `const other = await secondPerson(…)`. */
export async function secondPerson(
  browser: import('@playwright/test').Browser,
  server: Server,
  problems: Problems,
): Promise<import('@playwright/test').Page> {
  const context = await browser.newContext({ baseURL: server.url });
  watch(context, problems, server.url);
  return context.newPage();
}

function watch(context: import('@playwright/test').BrowserContext, problems: Problems, url: string): void {
  context.on('console', (message) => {
    if (message.type() === 'error') problems.add(`console: ${message.text()} (${message.location().url})`);
  });
  context.on('weberror', (error) => problems.add(`uncaught: ${error.error().stack ?? error.error()}`));
  context.on('request', (request) => {
    const local = request.url().startsWith(url) || /^(data|blob|about):/.test(request.url());
    if (!local) problems.add(`request to another host: ${request.url()}`);
  });
}

export { expect };
