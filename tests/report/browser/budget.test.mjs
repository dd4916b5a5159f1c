// SPDX-License-Identifier: BSD-3-Clause
// Time and memory of the page on the reference profiles. The limits are of a quiet machine: they count
// double unless PYI_REPORT_STRICT is set. What is held against them is CPU time of the page's main thread,
// which other load on the machine does not change; what the clock said is printed beside it.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { reference, SIZES } from '../gen.mjs';
import { frames, open, settle, write } from './lib.mjs';

const SLACK = process.env.PYI_REPORT_STRICT ? 1 : 2;
const LIMITS = {
	S: { bytes: 250e3, paint: 250, task: 100, heap: 20, scroll: 20, frame: 20, search: 50, filter: 50, expand: 50 },
	M: { bytes: 2.5e6, paint: 600, task: 300, heap: 60, scroll: 20, frame: 20, search: 60, filter: 200, expand: 80 },
	L: { bytes: 12e6, paint: 1500, task: 900, heap: 250, scroll: 25, frame: 25, search: 150, filter: 800, expand: 200 },
};

/* these run in the page; what they need is in their argument */
const zoom = (i, [selector]) => {
	const element = document.querySelector(selector);
	const box = element.getBoundingClientRect();
	element.dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, ctrlKey: true, deltaY: i % 60 < 30 ? -40 : 40, clientX: box.left + box.width / 3, clientY: box.top + 100 }));
};
const pan = (i, [selector]) => document.querySelector(selector).dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, shiftKey: true, deltaY: i % 60 < 30 ? 40 : -40 }));
const scroll = (i, [selector]) => {
	document.querySelector(selector).scrollTop += i % 80 < 40 ? 180 : -180;
};

async function busy(page) {
	await page.waitForFunction(() => !/Working/.test(document.body.innerText), null, { timeout: 120_000 });
	await settle(page);
}

async function measure(browser, size) {
	// PYI_REPORT_PAGES: a folder with S.html, M.html and L.html that C has written; else the payload is made here, and
	// its columns are not as short as C's.
	const written = process.env.PYI_REPORT_PAGES && join(process.env.PYI_REPORT_PAGES, `${size}.html`);
	const address = written ? pathToFileURL(written).href : write(reference(SIZES[size]));
	const bytes = statSync(fileURLToPath(address)).size;
	const { page, trouble, context, close } = await open(browser, 'about:blank', { bypassCSP: true });
	const cdp = await context.newCDPSession(page);
	await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
	const cpu = async () => {
		const { metrics } = await cdp.send('Performance.getMetrics');
		return metrics.find((each) => each.name === 'TaskDuration').value * 1000;
	};
	const heap = async () => {
		await cdp.send('HeapProfiler.collectGarbage');
		const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await cdp.send('Runtime.getHeapUsage');
		return (usedSize + embedderHeapUsedSize + backingStorageSize) / 1e6;
	};
	await page.addInitScript(() => {
		globalThis.longest = 0;
		new PerformanceObserver((list) => {
			for (const entry of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, entry.duration);
		}).observe({ type: 'longtask', buffered: true });
		const watch = () => {
			if (!globalThis.painted && document.querySelector('[role="treeitem"]')) requestAnimationFrame(() => setTimeout(() => (globalThis.painted ??= performance.now()), 0));
			else if (!globalThis.painted) requestAnimationFrame(watch);
		};
		requestAnimationFrame(watch);
	});
	const result = { bytes };
	await page.goto(address);
	await page.waitForFunction(() => globalThis.painted, null, { timeout: 120_000 });
	result.paint = await cpu();
	const wall = await page.evaluate(() => globalThis.painted);
	/* other load stretches a task as it stretches the whole */
	result.task = (await page.evaluate(() => globalThis.longest)) * Math.min(1, result.paint / wall);
	result.heap = await heap();
	const seen = { paint: wall };
	const drive = async (name, act, selector) => {
		const before = await cpu();
		const between = await frames(page, 120, act, [selector]);
		result[name] = (await cpu()) / 120 - before / 120;
		seen[name] = between.p95;
	};
	await drive('scroll', scroll, '.rows');
	for (const [key, name] of [
		['2', 'flame'],
		['3', 'timeline'],
	]) {
		await page.keyboard.press(key);
		await busy(page);
		await page.waitForSelector('.flame-scroll');
		await settle(page);
		await drive(`${name}Zoom`, zoom, '.flame-scroll');
		for (let step = 0; step < 10; step++) await page.evaluate(([source, argument]) => (0, eval)(`(${source})`)(0, argument), [String(zoom), ['.flame-scroll']]);
		await drive(`${name}Pan`, pan, '.flame-scroll');
	}
	await page.keyboard.press('1');
	await busy(page);
	const timed = async (act, done) => {
		const before = await cpu();
		await act();
		await done();
		await busy(page);
		return (await cpu()) - before;
	};
	await page.keyboard.press('/');
	result.search = await timed(
		() => page.keyboard.type('7'),
		() => page.waitForFunction(() => /functions?,.*nodes?/.test(document.body.innerText), null, { timeout: 60_000 }),
	);
	await page.keyboard.press('Escape');
	await page.evaluate(() => document.activeElement.blur());
	result.filter = await timed(
		() => page.keyboard.press('l'),
		() => settle(page),
	);
	result.elements = await page.evaluate(() => document.querySelectorAll('*').length);
	assert.deepEqual(trouble, []);
	await close();
	const limits = LIMITS[size];
	const over = [];
	const check = (name, value, limit, slack = SLACK) => value > limit * slack && over.push(`${name} ${value.toFixed(1)} > ${limit} x ${slack}`);
	if (written) check('bytes', result.bytes, limits.bytes, 1);
	check('elements', result.elements, 1500, 1);
	check('heap MB', result.heap, limits.heap);
	check('first paint ms', result.paint, limits.paint);
	check('longest task ms', result.task, limits.task);
	check('search ms', result.search, limits.search);
	check('filter ms', result.filter, limits.filter);
	check('scroll ms', result.scroll, limits.scroll);
	for (const name of ['flameZoom', 'flamePan', 'timelineZoom', 'timelinePan']) check(`${name} ms`, result[name], limits.frame);
	const text = Object.entries(result).map(([name, value]) => `${name} ${value >= 1e5 ? `${(value / 1e6).toFixed(2)} MB` : value.toFixed(1)}${name in seen ? ` (${name === 'paint' ? 'wall' : 'p95'} ${seen[name].toFixed(0)})` : ''}`);
	const note = `${size}${written ? '' : ' (payload made by the test)'}: ${text.join(', ')}`;
	assert.deepEqual(over, [], note);
	return note;
}

export const tests = ['S', 'M', 'L'].map((size) => ({ number: 13, name: `budgets ${size}`, run: (browser) => measure(browser, size) }));
