/**
 * AWS for a test: moto (S3, logs) and the SageMaker of `tests/aws/fake_sagemaker`, on free ports. Their Python is the
 * one that `cargo xtask test` installs.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { binary } from './server';

export const python =
  process.env.LLM_TUNER_TEST_PYTHON ?? join(homedir(), '.cache/llm-tuner/pytest-venv/bin/python');
const repository = resolve(import.meta.dirname, '..');
const BUCKET = 'tuner-bucket';
/** Our own image, as the operator names it. */
const IMAGE = '123456789012.dkr.ecr.us-east-1.amazonaws.com/llm-tuner:1';
/** Where AWS keeps the script of Llama's JumpStart container. */
const SCRIPT = 'jumpstart-cache-prod-us-east-1';
const SCRIPT_KEY = 'source-directory-tarballs/meta/transfer_learning/textgeneration/prepack/v1.0.1/sourcedir.tar.gz';

export type Sent = { service: string; operation: string; body: Record<string, unknown>; effect?: boolean };

export class Aws {
  private constructor(
    private readonly moto: ChildProcess,
    private readonly s3: string,
    private readonly fake: ChildProcess,
    private readonly url: string,
  ) {}

  /** An empty account with quotas for what the tests run, and a clock a hundred times as fast as ours. */
  static async start(): Promise<Aws> {
    const moto = spawn(python, ['tests/support/moto_server.py', '-H', '127.0.0.1', '-p', '0'], {
      cwd: repository,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const s3 = await says(moto, 'stderr', /Running on (http:\S+)/);
    // It ends when its standard input closes, so nothing outlives a test that died.
    const fake = spawn(python, ['-m', 'fake_sagemaker', '--port', '0', '--with-stdin', '--s3-url', s3], {
      cwd: join(repository, 'tests/aws'),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const aws = new Aws(moto, s3, fake, await says(fake, 'stdout', /^(http:\S+)/));
    await aws.put(BUCKET);
    await aws.control('images', { [IMAGE]: [binary, 'train', '--dir', '{dir}'] });
    await aws.control('quota', { 'ml.g5.2xlarge': 2, 'ml.g5.12xlarge': 1, 'ml.m5.xlarge': 2, 'ml.g5.2xlarge for endpoint usage': 1 });
    await aws.control('clock', { auto: 100 });
    return aws;
  }

  /** What the server under test is started with. */
  environment(): Record<string, string> {
    return {
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_ENDPOINT_URL: this.s3,
      AWS_ENDPOINT_URL_SAGEMAKER: this.url,
      AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: this.url,
      AWS_ENDPOINT_URL_SERVICE_QUOTAS: this.url,
      AWS_ENDPOINT_URL_PRICING: this.url,
      STORAGE_URL: `s3://${BUCKET}/team`,
      SAGEMAKER_EXECUTION_ROLE_ARN: 'arn:aws:iam::123456789012:role/tuner/Training',
      SAGEMAKER_TRAINING_IMAGE: IMAGE,
      SAGEMAKER_POLL_SECONDS: '0.2',
    };
  }

  /** A control request of the fake; its README lists them. */
  async control(route: string, body: unknown, method = 'POST'): Promise<unknown> {
    const init = method === 'GET' || method === 'DELETE' ? { method } : { method, body: JSON.stringify(body) };
    const answer = await fetch(`${this.url}/_fake/${route}`, { ...init, headers: { 'content-type': 'application/json' } });
    if (!answer.ok) throw new Error(`/_fake/${route}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** The requests of this operation that took effect. */
  async sent(operation: string): Promise<Sent['body'][]> {
    const all = (await this.control('requests', undefined, 'GET')) as Sent[];
    return all.filter((one) => one.operation === operation && one.effect !== false).map((one) => one.body);
  }

  /** Keys of the bucket. */
  async keys(): Promise<string[]> {
    const list = await (await fetch(`${this.s3}/${BUCKET}?list-type=2`)).text();
    return [...list.matchAll(/<Key>([^<]*)<\/Key>/g)].map((match) => match[1] ?? '');
  }

  /** Puts `tests/sagemaker/transfer_learning.py` in the place of the script that AWS keeps for Llama. */
  async placeJumpStartScript(): Promise<void> {
    const packed = await promisify(execFile)('tar', ['-czf', '-', '-C', 'tests/sagemaker', 'transfer_learning.py'], {
      cwd: repository,
      encoding: 'buffer',
    });
    await this.put(SCRIPT);
    await this.put(`${SCRIPT}/${SCRIPT_KEY}`, packed.stdout);
  }

  async stop(): Promise<void> {
    const ended = [this.moto, this.fake].map((child) => new Promise((wake) => child.once('exit', wake)));
    this.fake.stdin?.end();
    this.moto.kill('SIGTERM');
    const impatience = setTimeout(() => [this.moto, this.fake].forEach((child) => child.kill('SIGKILL')), 10_000);
    await Promise.all(ended);
    clearTimeout(impatience);
  }

  private async put(path: string, body?: Uint8Array): Promise<void> {
    const answer = await fetch(`${this.s3}/${path}`, { method: 'PUT', body: body && Buffer.from(body) });
    if (!answer.ok) throw new Error(`PUT ${path}: ${answer.status} ${await answer.text()}`);
  }
}

/** Waits for the line that tells the address. */
function says(child: ChildProcess, stream: 'stdout' | 'stderr', pattern: RegExp): Promise<string> {
  return new Promise((found, failed) => {
    let text = '';
    const impatience = setTimeout(() => failed(new Error(`did not start within a minute: ${text}`)), 60_000);
    const over = (error: Error) => {
      clearTimeout(impatience);
      failed(error);
    };
    child.once('error', over);
    child.once('exit', (code) => over(new Error(`${python} ended with ${code}: ${text}`)));
    child[stream]?.on('data', (chunk: Buffer) => {
      // Read on after it is found, so that the child never waits for us.
      if (text.length < 10_000) text += chunk.toString();
      const match = text.match(pattern);
      if (match?.[1]) {
        clearTimeout(impatience);
        found(match[1]);
      }
    });
  });
}
