// Pages for tests in a browser: traces made by the project's programs, pages written by the command, and one Chromium for all
// suites to open them.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { Derived } from '../../src/derive/derived.ts';
import { DecodeTrace, type Meta, type Summary } from '../../src/model.ts';
import { ScriptByFrame, type TraceEvent } from './script_by_frame.ts';

function Program(name: string): string {
  const path = process.env[name];
  if (path === undefined) throw new Error(`${name} names no program: run these tests through ctest`);
  return path;
}

// What tierlib-trace writes to its standard output. Of some traces parts are missing, which it says and exits with 4.
function Run(options: string[]): string {
  const { status, stdout, stderr } = spawnSync(Program('TIERLIB_TRACE_PROGRAM'), options, { maxBuffer: 2 ** 26, encoding: 'utf8' });
  if (status !== 0 && status !== 4) throw new Error(`tierlib-trace ${options.join(' ')} exits with ${status}: ${stderr}`);
  return stdout;
}

export const records = Number(process.env['TIERLIB_PAGE_RECORDS'] ?? 1_000_000);
export const holdTimes = process.env['TIERLIB_PAGE_TIMES'] === '1';

const payloadFile = fileURLToPath(new URL('payloads.json', import.meta.url));
export const payloads = JSON.parse(readFileSync(payloadFile, 'utf8')) as string[];

// About how many records each trace has; "hostile" has labels that try to be markup.
const sizes = { large: records, medium: 60_000, other: 30_000, small: 20_000, hostile: 0 };
export type TraceName = keyof typeof sizes;

export interface OpenOptions {
  width?: number;
  height?: number;
  colorScheme?: 'light' | 'dark';
  fragment?: string;
  hasTouch?: boolean;
  slowTables?: boolean; // tables follow the pictures a second later than they do
}

export class Pages {
  private folder = '';
  private browser: Browser | null = null;
  private readonly free: Page[] = []; // of tests that are done: a new one costs more than a test

  private get place(): string {
    if (this.folder === '') this.folder = mkdtempSync(join(tmpdir(), 'tierlib-page-'));
    return this.folder;
  }

  // Made when it is first asked for.
  private Trace(name: TraceName): string {
    const path = join(this.place, `${name}.tlt`);
    if (existsSync(path)) return path;
    if (name === 'hostile') execFileSync(Program('TIERLIB_HOSTILE_TRACE'), [payloadFile, path]);
    else execFileSync(Program('TIERLIB_MAKE_TRACE'), [path, `${sizes[name]}`]);
    return path;
  }

  // The page of a trace, or of one and what it is compared with.
  Page(name: TraceName, compared?: TraceName): string {
    const out = join(this.place, `${name}${compared === undefined ? '' : `-${compared}`}.html`);
    if (existsSync(out)) return out;
    const more = compared === undefined ? [] : ['--compare', this.Trace(compared)];
    Run(['view', this.Trace(name), '--no-open', '-o', out, ...more]);
    return out;
  }

  // A page with another text than the command's.
  Changed(name: TraceName, as: string, change: (html: string) => string): string {
    const out = join(this.place, `${as}.html`);
    writeFileSync(out, change(readFileSync(this.Page(name), 'utf8')));
    return out;
  }

  // Pages with nothing to show, and what they say of it.
  Traceless(): { path: string; says: string }[] {
    const nothing = 'eJwDAAAAAAE='; // no bytes, deflated
    return [
      {
        path: this.Changed('small', 'none', html => html.replace(/<script type="(text\/plain|application\/json)".*<\/script>\n/g, '')),
        says: 'This page has no trace in it',
      },
      {
        path: this.Changed('small', 'empty', html => WithMeta(html, () => ({ records: 0 })).replace(
          /(id="trace-0-(?:time|event|tag|detail|label|subject|value)">)[^<]*/g, `$1${nothing}`)),
        says: 'has no records: nothing was traced',
      },
      {
        path: this.Changed('small', 'cut', html => html.replace(/id="trace-0-value">[^<]*/, 'id="trace-0-value">AAAA')),
        says: 'The trace cannot be shown',
      },
    ];
  }

  // What the page derives of a trace, without a browser.
  async Derived(name: TraceName): Promise<Derived> {
    const html = readFileSync(this.Page(name), 'utf8');
    return new Derived(await DecodeTrace(part => new RegExp(`id="trace-0-${part}">([^<]*)</script>`).exec(html)?.[1] ?? null));
  }

  Summary(name: TraceName): Summary {
    return JSON.parse(Run(['summary', '--json', this.Trace(name)])) as Summary;
  }

  async Open(path: string, options: OpenOptions = {}): Promise<Opened> {
    const special = options.hasTouch === true || options.slowTables === true;
    const page = (special ? undefined : this.free.pop()) ?? await this.Tab(options);
    await page.setViewportSize({ width: options.width ?? 1340, height: options.height ?? 872 });
    await page.emulateMedia({ colorScheme: options.colorScheme ?? 'light' });
    const opened = new Opened(page, async () => {
      if (special) return page.context().close();
      await page.evaluate(() => localStorage.clear());
      await page.goto('about:blank');
      page.removeAllListeners();
      this.free.push(page);
    });
    await page.goto(pathToFileURL(path).href + (options.fragment ?? ''));
    await page.waitForFunction(() => performance.getEntriesByName('tierlib-drawn').length > 0 ||
      document.querySelector('[role=alert]:not(:empty)') !== null, undefined, { timeout: 60_000 });
    return opened;
  }

  // A context with one page.
  private async Tab(options: OpenOptions): Promise<Page> {
    this.browser ??= await chromium.launch({ executablePath: Program('TIERLIB_CHROMIUM'), args: ['--no-sandbox'] });
    const context = await this.browser.newContext({ hasTouch: options.hasTouch ?? false, acceptDownloads: true });
    if (options.slowTables === true) {
      await context.addInitScript(() => {
        const { setTimeout: wait } = window;
        window.setTimeout = ((run: () => void, ms: number) => wait(run, ms === 150 ? 1150 : ms)) as typeof setTimeout;
      });
    }
    return context.newPage();
  }

  async Close(): Promise<void> {
    await this.browser?.close();
    if (this.folder !== '') rmSync(this.folder, { recursive: true, force: true });
  }
}

export const pages = new Pages();

// A page with other fields in what it says of its trace.
export function WithMeta(html: string, change: (meta: Meta) => Partial<Meta>): string {
  return html.replace(/(id="trace-0-meta">)([^<]*)/, (_, start: string, text: string) => {
    const meta = JSON.parse(text) as Meta;
    return start + JSON.stringify({ ...meta, ...change(meta) }).replaceAll('<', '\\u003c');
  });
}

// A page that is open, and what it did that it should not.
export class Opened {
  readonly requests: string[] = []; // also those that the policy stopped
  readonly answered: string[] = [];
  readonly errors: string[] = [];

  constructor(readonly page: Page, private readonly giveBack: () => Promise<void>) {
    page.on('request', request => this.requests.push(request.url()));
    page.on('response', response => this.answered.push(response.url()));
    page.on('pageerror', error => this.errors.push(error.message));
    page.on('console', message => {
      if (message.type() === 'error') this.errors.push(message.text());
    });
  }

  // Until what follows slowly (pictures of panels, tables, the address) is that of what is shown.
  async Settle(): Promise<void> {
    await this.page.waitForFunction(() => document.querySelector('#page[aria-busy]') === null);
  }

  // What is shown, as the page says it at once: the address follows.
  private async Shown(): Promise<string> {
    return (await this.page.getAttribute('#page', 'data-address')) ?? '';
  }

  // Begin and end in ns.
  async Range(): Promise<[number, number]> {
    const shown = await this.Shown();
    const parts = /t=(-?\d+)-(-?\d+)/.exec(shown);
    if (parts === null) throw new Error(`no range in "${shown}"`);
    return [Number(parts[1]), Number(parts[2])];
  }

  // The selected item, as "ops.12"; "": none.
  async Item(): Promise<string> {
    return /item=([a-z0-9.-]+)/.exec(await this.Shown())?.[1] ?? '';
  }

  // What the scripts of each frame took while `act` ran, in ms of the processor, as the browser traces it: other programs on the
  // machine do not count. To a frame belong the listeners and timers since the frame before it. By the name that `act` gave last.
  async FrameTimes(act: (Name: (name: string) => Promise<void>) => Promise<void>): Promise<Map<string, number[]>> {
    const session = await this.page.context().browser()!.newBrowserCDPSession();
    const events: TraceEvent[] = [];
    session.on('Tracing.dataCollected', ({ value }) => events.push(...value as unknown as typeof events));
    await session.send('Tracing.start',
      { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['devtools.timeline', 'blink.user_timing'] } });
    await act(name => this.page.evaluate(mark => void performance.mark(mark), `frames of ${name}`));
    const complete = new Promise(resolve => session.once('Tracing.tracingComplete', resolve));
    await session.send('Tracing.end');
    await complete;
    await session.detach();
    return ScriptByFrame(events);
  }

  // What was moved by something else than its own doing since the page opened, or since the last call: names of elements.
  async Shifts(): Promise<string[]> {
    return this.page.evaluate(async () => {
      interface Shift { sources: { node: Element | null }[] }
      const kept = window as unknown as { shifts?: string[] };
      if (kept.shifts === undefined) {
        const shifts: string[] = kept.shifts = [];
        new PerformanceObserver(list => {
          for (const { sources } of list.getEntries() as unknown as Shift[]) {
            for (const { node } of sources) shifts.push(node?.id || node?.className || node?.tagName || '?');
          }
        }).observe({ type: 'layout-shift', buffered: true });
      }
      await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve))); // those of this frame too
      return kept.shifts.splice(0);
    });
  }

  // How many colours a canvas shows.
  async Colours(selector: string): Promise<number> {
    return this.page.locator(selector).evaluate(element => {
      const { width, height } = element as HTMLCanvasElement;
      const pixels = (element as HTMLCanvasElement).getContext('2d')!.getImageData(0, 0, width, height).data.buffer;
      return new Set(new Uint32Array(pixels)).size;
    });
  }

  async Text(selector: string): Promise<string> {
    return (await this.page.textContent(selector)) ?? '';
  }

  async Close(): Promise<void> {
    await this.giveBack();
  }
}
