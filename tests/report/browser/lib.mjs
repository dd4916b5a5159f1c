// SPDX-License-Identifier: BSD-3-Clause
// Pages for browser tests, and a browser without network to open them in. A page is the committed bundle
// (or PYI_REPORT_BUNDLE, a folder of `build.mjs --dev`) around a payload, in the skeleton that the C
// program writes.
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = join(HERE, '../../..');
const BUNDLE = process.env.PYI_REPORT_BUNDLE || join(ROOT, 'src/report/dist');
const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
const folder = mkdtempSync(join(tmpdir(), 'pyi-report-'));

/** Why the tests cannot run here, or null. */
export function missing() {
	if (!existsSync(CHROMIUM)) return `${CHROMIUM} is not here`;
	if (!existsSync(join(BUNDLE, 'report.js'))) return 'src/report/dist is not built: make report-bundle';
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

/** Writes a page; gives its address. `raw` leaves the JSON unescaped, to prove that the policy holds alone. */
export function write(payload, { raw = false, summary = 'Recorded: nothing to see without scripts', policy = true } = {}) {
	const script = readFileSync(join(BUNDLE, 'report.js'));
	const style = readFileSync(join(BUNDLE, 'report.css'));
	const rules = `default-src 'none'; script-src 'sha256-${sha(script)}'; style-src 'sha256-${sha(style)}'; img-src data: blob:; base-uri 'none'; form-action 'none'`;
	let json = typeof payload === 'string' ? payload : JSON.stringify(payload);
	if (!raw) json = json.replace(/[<>&\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
	const title = typeof payload === 'string' ? 'page' : payload.strings[payload.meta.title] ?? String(payload.meta.title);
	const text = [
		'<!doctype html><html lang="en"><head><meta charset="utf-8">',
		policy ? `<meta http-equiv="Content-Security-Policy" content="${rules}">` : '',
		`<title>${html(title)}</title><meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><style>`,
		style,
		`</style></head><body><div id="app"></div><pre id="static">${html(summary)}</pre><script type="application/json" id="session">`,
		json,
		'</script><script>',
		script,
		'</script></body></html>',
	];
	const file = join(folder, `page-${pages++}.html`);
	writeFileSync(file, text.join(''));
	return pathToFileURL(file).href;
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
