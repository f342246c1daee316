/** A server of one test file: a free port, an empty data directory, gone at the end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, readlink, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** The target directory of a build by hand; `cargo xtask test` says where its own lies. */
const target = resolve(import.meta.dirname, '..', process.env.CARGO_TARGET_DIR ?? 'target');
export const binary = process.env.LLM_TUNER_BIN ?? join(target, 'debug/llm-tuner');
const site = process.env.LLM_TUNER_SITE ?? join(target, 'site');

export class Server {
  private log = '';
  private child: ChildProcess | undefined;

  private constructor(
    readonly url: string,
    readonly dataDir: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** `env` adds settings, such as `REGISTRATION`. */
  static async start(env: Record<string, string> = {}): Promise<Server> {
    const dataDir = await mkdtemp(join(tmpdir(), 'llm-tuner-e2e-'));
    const address = `127.0.0.1:${await freePort()}`;
    const server = new Server(`http://${address}`, dataDir, {
      // Nothing else of this shell's environment: a developer's own settings must not reach a test.
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      RUST_LOG: process.env.RUST_LOG ?? 'info',
      RUST_BACKTRACE: '1',
      LEPTOS_SITE_ADDR: address,
      LEPTOS_SITE_ROOT: site,
      DATA_DIR: dataDir,
      ...env,
    });
    await server.boot();
    return server;
  }

  /** Ends the process as a supervisor would and starts it anew on the same address and data. */
  async restart(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.end(signal);
    await this.boot();
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
    await this.endTrainers();
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  /** What the server wrote, newest last. */
  output(): string {
    return this.log;
  }

  /** How the process ended, if it did without being asked. */
  fate(): string | undefined {
    const { exitCode = null, signalCode = null } = this.child ?? {};
    if (exitCode === null && signalCode === null) return undefined;
    return `the server ended by itself (${signalCode ?? `exit code ${exitCode}`})`;
  }

  private async boot(): Promise<void> {
    // In the data directory, where no `.env` lies.
    const child = spawn(binary, ['serve'], { cwd: this.dataDir, env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    const keep = (chunk: Buffer) => {
      this.log = (this.log + chunk.toString()).slice(-200_000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    let failure: Error | undefined;
    child.on('error', (error) => {
      failure = error;
    });
    const deadline = Date.now() + 60_000;
    while (Date.now() < deadline) {
      if (failure) throw new Error(`cannot start ${binary}: ${failure.message}; build it with \`cargo xtask build\``);
      if (this.fate()) throw new Error(`${this.fate()} while it started:\n${this.log}`);
      const healthy = await fetch(`${this.url}/api/health`).then(
        (response) => response.ok,
        () => false,
      );
      if (healthy) return;
      await new Promise((wake) => setTimeout(wake, 50));
    }
    throw new Error(`${this.url}/api/health did not answer within a minute:\n${this.log}`);
  }

  /** Trainers outlive the server, as they should; a test that ends leaves none behind. */
  private async endTrainers(): Promise<void> {
    const jobs = join(this.dataDir, 'jobs');
    for (const job of await readdir(jobs).catch(() => [])) {
      const record = await readFile(join(jobs, job, 'pid'), 'utf8').catch(() => '{}');
      const { process: trainer } = JSON.parse(record) as { process?: { pid: number } };
      const still = trainer && (await readlink(`/proc/${trainer.pid}/cwd`).catch(() => ''));
      if (trainer && still === join(jobs, job)) process.kill(trainer.pid, 'SIGKILL');
    }
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (!child || this.fate()) return;
    const ended = new Promise((wake) => child.once('exit', wake));
    child.kill(signal);
    const impatience = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(impatience);
  }
}

function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const probe = createServer();
    probe.on('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (address && typeof address === 'object' ? found(address.port) : failed(new Error('no port'))));
    });
  });
}
