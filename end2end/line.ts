/** A line between browser and server that a test can hold and cut: `const line = await Line.to(server.url)`. */
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

export class Line {
  private readonly sockets = new Set<Socket>();
  private room = Infinity;
  private full = () => {};

  private constructor(
    private readonly target: URL,
    private readonly listener: Server,
  ) {}

  static async to(url: string): Promise<Line> {
    const listener = createServer();
    const line = new Line(new URL(url), listener);
    listener.on('connection', (browser) => line.join(browser));
    await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.listener.address() as AddressInfo).port}`;
  }

  /** Lets so many more bytes through to the server, then nothing, without a word. Resolves when it has come to that. */
  async holdAfter(bytes: number): Promise<void> {
    this.room = bytes;
    await new Promise<void>((full) => (this.full = full));
  }

  /** Breaks every connection; new ones work. */
  cut(): void {
    this.room = Infinity;
    for (const socket of this.sockets) socket.destroy();
  }

  async end(): Promise<void> {
    this.cut();
    await new Promise((ended) => this.listener.close(ended));
  }

  private join(browser: Socket): void {
    const server = connect(Number(this.target.port), this.target.hostname);
    for (const [one, other] of [[browser, server], [server, browser]] as const) {
      this.sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
    server.on('data', (chunk) => browser.write(chunk));
    browser.on('data', (chunk) => {
      if (this.room < chunk.length) {
        browser.pause();
        this.full();
        return;
      }
      this.room -= chunk.length;
      server.write(chunk);
    });
  }
}
