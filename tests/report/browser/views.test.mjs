// SPDX-License-Identifier: BSD-3-Clause
// Flame graph, timeline, comparison, source listing, and profiles of odd shapes.
import assert from 'node:assert/strict';
import { deep, many, shop } from './fixtures.mjs';
import { open, settle, write } from './lib.mjs';

const ROW = 18;

export async function ready(browser, data, options = {}) {
	const opened = await open(browser, write(data), options);
	await opened.page.waitForSelector('[role="tab"], .empty', { state: 'attached', timeout: 60_000 });
	await settle(opened.page);
	return opened;
}

async function view(page, key) {
	await page.keyboard.press(key);
	await settle(page);
	await page.waitForSelector('.view', { timeout: 60_000 });
	await settle(page);
}

/** Colour of the drawing at a place in CSS pixels, as #rrggbb. */
const pixel = (page, x, y) =>
	page.evaluate(
		([x, y]) => {
			const canvas = document.querySelector('canvas.surface');
			const ratio = canvas.width / canvas.clientWidth;
			/* through a canvas of ours: reading the page's own makes the browser complain */
			const copy = document.createElement('canvas');
			copy.width = copy.height = 1;
			const pen = copy.getContext('2d', { willReadFrequently: true });
			pen.drawImage(canvas, Math.round(x * ratio), Math.round(y * ratio), 1, 1, 0, 0, 1, 1);
			const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
			return `#${[r, g, b].map((part) => part.toString(16).padStart(2, '0')).join('')}`;
		},
		[x, y],
	);
const variable = (page, name) => page.evaluate((name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim().toLowerCase(), name);
const box = (page) => page.locator('canvas.surface').first().boundingBox();
const focused = async (page) => {
	await settle(page);
	return page.evaluate(() => document.getElementById(document.querySelector('.view [role="application"]').getAttribute('aria-activedescendant'))?.textContent ?? '');
};

async function flame(browser) {
	/* one thread: <module> 1.0 > run 0.8 (to_csv 0.5, dumps 0.2), wait 0.2 */
	const { data } = shop({ worker: false });
	const { page, trouble, close } = await ready(browser, data);
	await view(page, '2');
	const at = await box(page);
	const place = (part, depth) => ({ x: part * at.width, y: depth * ROW + ROW / 2 });
	const corner = (part, depth) => ({ x: part * at.width - 6, y: depth * ROW + 3 });
	for (const [end, depth, kind] of [
		[1, 0, 0],
		[0.8, 1, 0],
		[0.5, 2, 0],
		[0.7, 2, 2],
	]) {
		const { x, y } = corner(end, depth);
		assert.equal(await pixel(page, x, y), await variable(page, `--kind-${kind}`), `box that ends at ${end}, depth ${depth}`);
	}
	const csv = place(0.25, 2);
	await page.mouse.move(at.x + csv.x, at.y + csv.y);
	await page.waitForSelector('.flame-host .tip:not([hidden])');
	const tip = await page.locator('.flame-host .tip').innerText();
	for (const part of ['Report.to_csv', 'shop.py:', '0.500 s', '50.0 %', '62.5 %', '500']) assert.ok(tip.includes(part), `${part} in the tooltip: ${tip}`);
	const tipBox = await page.locator('.flame-host .tip').boundingBox();
	assert.ok(tipBox.y >= at.y + 3 * ROW || tipBox.y + tipBox.height <= at.y + 2 * ROW, 'the tooltip does not cover its box');
	await page.mouse.dblclick(at.x + csv.x, at.y + csv.y);
	await settle(page);
	const wide = corner(1, 2);
	assert.equal(await pixel(page, wide.x, wide.y), await variable(page, '--kind-0'), 'zoomed: the frame fills the width');
	await page.waitForFunction(() => /[#&]z=n\d/.test(location.hash), null, { timeout: 5000 });
	await page.keyboard.press('Backspace');
	await settle(page);
	const back = corner(0.7, 2);
	assert.equal(await pixel(page, back.x, back.y), await variable(page, '--kind-2'), 'Backspace: as before');
	/* keys: parent, heaviest child, sibling */
	await page.mouse.click(at.x + csv.x, at.y + csv.y);
	await page.keyboard.press('ArrowRight');
	assert.match(await focused(page), /^dumps, /);
	await page.keyboard.press('ArrowUp');
	assert.match(await focused(page), /^Report\.run, .*80\.0 % of everything, level 2, 1 of 2$/);
	await page.keyboard.press('ArrowDown');
	assert.match(await focused(page), /^Report\.to_csv, /);
	await page.waitForFunction(() => /to_csv/.test(document.querySelector('.flame-host [aria-live]').textContent), null, { timeout: 5000 });
	await page.keyboard.press('i');
	await settle(page);
	const flipped = await pixel(page, at.width - 6, at.height - ROW + 3);
	assert.equal(flipped, await variable(page, '--kind-0'), 'flipped: the root is at the bottom');
	assert.deepEqual(trouble, []);
	await close();
}

async function timeline(browser) {
	const { data } = shop({ worker: false });
	const { page, trouble, close } = await ready(browser, data);
	await view(page, '3');
	const at = await box(page);
	const from = at.width * 0.1;
	const to = at.width * 0.6;
	await page.mouse.move(at.x + from, at.y + 10);
	await page.mouse.down();
	await page.mouse.move(at.x + at.width * 0.3, at.y + 12, { steps: 4 });
	await page.mouse.move(at.x + to, at.y + 10, { steps: 4 });
	await page.mouse.up();
	await settle(page);
	await page.waitForFunction(() => /[#&]t=/.test(location.hash), null, { timeout: 5000 });
	const [, a, b] = /[#&]t=([\d.]+)-([\d.]+)/.exec(page.url()).map(Number);
	assert.ok(Math.abs(a - 0.1) < 0.01 && Math.abs(b - 0.6) < 0.01, `range ${a}-${b}`);
	await view(page, '1').catch(() => undefined);
	const total = await page.evaluate(() => document.querySelector('[role="treeitem"] .num')?.textContent);
	assert.ok(Math.abs(Number(total) - (b - a)) < 0.0011, `total ${total} of ${a}-${b}`);
	/* to_csv runs at 0.00-0.25 and 0.45-0.70 */
	const expected = Math.max(0, 0.25 - a) + Math.max(0, b - 0.45);
	const csv = await page.evaluate(() => [...document.querySelectorAll('[role="treeitem"]')].find((row) => /to_csv/.test(row.textContent))?.querySelector('.num').textContent);
	assert.ok(Math.abs(Number(csv) - expected) < 0.0011, `to_csv ${csv}, expected ${expected}`);
	await view(page, '3');
	await page.keyboard.press('z');
	await page.keyboard.press('Escape');
	await settle(page);
	await page.waitForFunction(() => !/[#&]t=/.test(location.hash), null, { timeout: 5000 });
	/* by keys alone: the first frame, its child, its time */
	await page.keyboard.press('0');
	await page.keyboard.press('Home');
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('ArrowDown');
	assert.match(await focused(page), /^Report\.to_csv, from 0\.000 s for 250 ms, level 3, MainThread/);
	await page.keyboard.press('ArrowRight');
	assert.match(await focused(page), /^dumps, from 0\.250 s for 100 ms/);
	await page.keyboard.press('r');
	await page.waitForFunction(() => /[#&]t=0\.25-0\.35/.test(location.hash), null, { timeout: 5000 });
	assert.deepEqual(trouble, []);
	await close();
}

async function comparison(browser) {
	const { data } = shop({ worker: false, diff: true });
	const { page, trouble, close } = await ready(browser, data);
	await view(page, '6');
	const row = (name) =>
		page.evaluate((name) => {
			const found = [...document.querySelectorAll('.d')].find((each) => !each.hidden && each.querySelector('.d-text').textContent === name);
			return found && { cells: [...found.querySelectorAll('.num')].map((cell) => cell.textContent), classes: [...found.classList] };
		}, name);
	const csv = await row('Report.to_csv');
	assert.deepEqual(csv.cells, ['0.100', '0.500', '\u25b2 +0.400 s', '+400.0 %']);
	assert.ok(!csv.classes.includes('noise'));
	const gone = await row('legacy');
	assert.deepEqual([gone.cells[0], gone.cells[1], gone.cells[2], gone.cells[3]], ['0.350', '\u2013', '\u25bc \u22120.350 s', 'gone']);
	assert.ok(gone.classes.includes('gone'));
	const json = await row('dumps');
	assert.ok(json.classes.includes('noise'), '204 against 200 samples is noise');
	await page.getByRole('button', { name: 'Flame', exact: true }).click();
	await settle(page);
	const at = await box(page);
	assert.equal(await pixel(page, 0.5 * at.width - 6, 2 * ROW + 3), await variable(page, '--diff-5'), 'to_csv is drawn as much slower');
	await page.getByRole('button', { name: 'Widths of the base' }).click();
	await settle(page);
	const names = [];
	for (const part of [0.05, 0.2, 0.35, 0.5, 0.65, 0.8]) {
		await page.mouse.click(at.x + part * at.width, at.y + 2 * ROW + 9);
		names.push(await focused(page));
	}
	assert.ok(names.some((name) => name.startsWith('legacy')), `what is gone is drawn with the widths of the base: ${names}`);
	await view(page, '4');
	const cells = await page.evaluate(() => {
		const found = [...document.querySelectorAll('.f')].find((each) => !each.hidden && each.querySelector('.f-name').textContent === 'legacy');
		return found && [...found.children].map((cell) => cell.textContent);
	});
	assert.ok(cells && cells.includes('gone') && cells.some((text) => text.startsWith('\u25bc \u2212')), `legacy in the table: ${cells}`);
	assert.deepEqual(trouble, []);
	await close();
}

async function sourceView(browser) {
	const text = Array.from({ length: 50_000 }, (_, i) => `value_${i + 1} = compute(${i + 1})`).join('\n');
	const { data } = shop({
		source: {
			module: { parts: [{ first: 1, text }], stale: true, reason: null },
			work: { parts: [{ first: 5, text: 'def work():\n    name = "\ufffd\ufffd"\n    spin()\n' }], stale: false, reason: 'not UTF-8: the letters that could not be read are shown as \ufffd' },
		},
	});
	const { page, trouble, close } = await ready(browser, data);
	await view(page, '5');
	const notes = () => page.locator('.source-note').allInnerTexts();
	assert.match((await notes())[0], /changed after the process started/);
	assert.equal(await page.locator('.files').inputValue(), '0');
	const line = (number) =>
		page.evaluate((number) => {
			const found = [...document.querySelectorAll('.s')].find((each) => !each.hidden && each.dataset.line === String(number));
			return found && { text: found.querySelector('.s-text').textContent, numbers: [...found.querySelectorAll('.num')].map((cell) => cell.textContent), classes: [...found.classList] };
		}, number);
	await page.keyboard.press('Home');
	await settle(page);
	assert.equal((await line(1)).text, 'value_1 = compute(1)');
	const elements = await page.evaluate(() => document.querySelectorAll('*').length);
	assert.ok(elements <= 1500, `${elements} elements`);
	await page.keyboard.press('n');
	await settle(page);
	const twelve = await line(12);
	assert.deepEqual(twelve.numbers, ['0.100', '0.800', '12']);
	assert.ok(twelve.classes.includes('sel'), 'n goes to the first hot line');
	await page.keyboard.press('n');
	await settle(page);
	assert.ok((await line(33)).classes.includes('sel'), 'and to the next');
	await page.keyboard.press('p');
	await settle(page);
	await page.keyboard.press('Enter');
	const popup = await page.locator('.pop').innerText();
	assert.match(popup, /Called from[\s\S]*<module>[\s\S]*shop\.py:72[\s\S]*Calls[\s\S]*Report\.to_csv[\s\S]*dumps/);
	await page.keyboard.press('Escape');
	await page.keyboard.press('End');
	await settle(page);
	assert.equal((await line(50_000)).text, 'value_50000 = compute(50000)');
	await page.keyboard.press(']');
	await settle(page);
	assert.match((await notes())[0], /not UTF-8/);
	assert.match((await line(6)).text, /"\ufffd\ufffd"/);
	await page.keyboard.press(']');
	await settle(page);
	assert.match((await notes())[0], /-p source=all/);
	assert.ok(await line(190), 'lines are listed without text');
	assert.deepEqual(trouble, []);
	await close();
	const bare = await ready(browser, shop().data);
	await view(bare.page, '5');
	assert.match(await bare.page.locator('.source-note').innerText(), /add -p source=app/);
	await bare.close();
}

async function oddShapes(browser) {
	const empty = many(0, 0, 0);
	const shapes = [
		['100 000 deep', deep(100_000)],
		['one sample', many(1, 1, 1000)],
		['500 threads', many(500, 40, 1000)],
		['zero-duration runs', many(2, 50, 0)],
		['empty', empty],
	];
	const times = [];
	for (const [name, data] of shapes) {
		const began = Date.now();
		const { page, trouble, close } = await ready(browser, data);
		for (const key of name === 'empty' ? [] : ['2', '3', '4', '5', '1', '2']) {
			await page.keyboard.press(key);
			await settle(page);
			for (const move of ['ArrowDown', 'ArrowDown', 'ArrowRight', 'End', 'Home', 'i', 'i']) await page.keyboard.press(move);
			await settle(page);
			const elements = await page.evaluate(() => document.querySelectorAll('*').length);
			assert.ok(elements <= 1500, `${name}, view ${key}: ${elements} elements`);
		}
		if (name === '100 000 deep') {
			await page.evaluate(() => {
				const scroller = document.querySelector('.flame-scroll');
				scroller.scrollTop = 99_990 * 18;
			});
			await settle(page);
			const at = await box(page);
			await page.mouse.click(at.x + 40, at.y + 30);
			const level = Number(/level (\d+)/.exec(await focused(page))?.[1]);
			assert.ok(level > 99_000, `deepest frame reached: level ${level}`);
		}
		assert.deepEqual(trouble, [], name);
		times.push(`${name} ${Date.now() - began} ms`);
		await close();
	}
	return times.join(', ');
}

export const tests = [
	{ number: 5, name: 'flame: colours, tooltip, zoom and back, keys', run: flame },
	{ number: 6, name: 'timeline: a range dragged is the range of the tree', run: timeline },
	{ number: 14, name: 'comparison: signs, noise, gone', run: comparison },
	{ number: 15, name: 'source: stale, missing, not UTF-8, 50 000 lines', run: sourceView },
	{ number: 16, name: 'odd shapes: deep, empty, one sample, 500 threads, no duration', run: oddShapes },
];
