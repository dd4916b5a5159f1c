// SPDX-License-Identifier: BSD-3-Clause
// Pages for browser tests, and a browser without network to open them in. A page is one that the C program
// wrote, as it is or with another payload, title and summary in it (with PYI_REPORT_BUNDLE, a folder of
// `build.mjs --dev`, the script and the style are that bundle's).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = join(HERE, '../../..');
const BUNDLE = process.env.PYI_REPORT_BUNDLE;
const PROGRAM = process.env.PYI_PROGRAM || join(ROOT, 'build/pyinstrument');
const SESSIONS = join(ROOT, 'fixtures/sessions');
const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
const folder = mkdtempSync(join(tmpdir(), 'pyi-report-'));

/** Why the tests cannot run here, or null. */
export function missing() {
	if (!existsSync(CHROMIUM)) return `${CHROMIUM} is not here`;
	if (!existsSync(PROGRAM)) return `${PROGRAM} is not built: make`;
	try {
		playwright();
	} catch {
		return 'playwright-core is not installed: npm ci --ignore-scripts --prefix src/report';
	}
	return null;
}

function playwright() {
	return createRequire(join(ROOT, 'src/report/package.json'))('playwright-core');
}

export async function launch() {
	const { chromium } = playwright();
	return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-component-update', '--disable-background-networking', '--disable-sync', '--allow-file-access-from-files'] });
}

const sha = (bytes) => createHash('sha256').update(bytes).digest('base64');
const html = (text) => text.replace(/[&<>]/g, (letter) => `&#${letter.charCodeAt(0)};`);
let pages = 0;

/** Runs the program; what it prints. */
export function run(...words) {
	return execFileSync(PROGRAM, words, { env: { PATH: process.env.PATH, HOME: folder }, maxBuffer: 1 << 28, timeout: 60_000, stdio: ['ignore', 'pipe', 'inherit'] }).toString();
}

/** Writes text into a file of its own; its path. */
export function save(text, ending) {
	const file = join(folder, `${pages++}${ending}`);
	writeFileSync(file, text);
	return file;
}

/** Address of the page that the program makes of a session, a file; `options` are the program's. */
export const made = (session, ...options) => pathToFileURL(save(run('--load', session, '-r', 'html', ...options), '.html')).href;

/** The text of a page in five parts, between which title, summary and payload go; its policy is in the first. */
let frame = null;
function parts() {
	if (frame) return frame;
	const page = run('--load', join(SESSIONS, 'one.pyisession'), '-r', 'html');
	const cut = /^(.*<title>).*?(<\/title>.*<pre id="static">).*?(<\/pre><script type="application\/json" id="session">).*?(<\/script><script>.*)$/s.exec(page);
	frame = cut.slice(1);
	if (BUNDLE) {
		const script = readFileSync(join(BUNDLE, 'report.js'), 'utf8');
		const style = readFileSync(join(BUNDLE, 'report.css'), 'utf8');
		frame = frame.map((part) => part.replace(/script-src [^;]*; style-src [^;]*;/, `script-src 'sha256-${sha(script)}'; style-src 'sha256-${sha(style)}';`));
		frame = frame.map((part) => part.replace(/<style>.*<\/style>/s, () => `<style>${style}</style>`).replace(/<\/script><script>.*$/s, () => `</script><script>${script}</script></body></html>`));
	}
	return frame;
}

/** Writes a page; gives its address. `raw` leaves the JSON unescaped, to prove that the policy holds alone. */
export function write(payload, { raw = false, summary = 'Recorded: nothing to see without scripts', policy = true } = {}) {
	let json = typeof payload === 'string' ? payload : JSON.stringify(payload);
	if (!raw) json = json.replace(/[<>&\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
	const title = typeof payload === 'string' ? 'page' : payload.strings[payload.meta.title] ?? String(payload.meta.title);
	const [head, ...rest] = parts();
	const between = [html(title), html(summary), json];
	const kept = policy ? head : head.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, '');
	return pathToFileURL(save([kept, ...rest.flatMap((part, i) => [between[i], part])].join(''), '.html')).href;
}

/** A page that is open and drawn, with what went wrong in it. */
export async function open(browser, address, { width = 1280, height = 800, dark = false, fragment = '', ...more } = {}) {
	const context = await browser.newContext({ offline: true, viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', ...more });
	const page = await context.newPage();
	const trouble = [];
	page.on('console', (message) => ['error', 'warning'].includes(message.type()) && trouble.push(message.text()));
	page.on('pageerror', (error) => trouble.push(String(error.stack || error)));
	page.on('request', (request) => /^(file|data|blob):/.test(request.url()) || trouble.push(`request ${request.url()}`));
	await page.goto(address + fragment);
	return { page, context, trouble, close: () => context.close() };
}

/** Two frames: what was asked for is drawn. */
export const settle = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))));

/** 95th percentile of the time between frames while `act` (in the page) runs once per frame. */
export async function frames(page, count, act, argument) {
	return page.evaluate(
		async ([count, source, argument]) => {
			const act = (0, eval)(`(${source})`);
			const times = [];
			let last = 0;
			for (let i = 0; i < count; i++) {
				const now = await new Promise(requestAnimationFrame);
				if (last) times.push(now - last);
				last = now;
				act(i, argument);
			}
			times.sort((a, b) => a - b);
			return { p50: times[Math.floor(times.length * 0.5)], p95: times[Math.floor(times.length * 0.95)], worst: times[times.length - 1] };
		},
		[count, String(act), argument],
	);
}
