// SPDX-License-Identifier: BSD-3-Clause
// Pages as the program writes them, nothing of them replaced: rows and figures against C's own tree and text,
// hostile names through the writer, comparisons, and every view by the keyboard alone.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sessions } from '../model/lib.mjs';
import { hasPageTree, rowsOfC } from '../model/rows.mjs';
import { ROOT, made, open, run, save, settle } from './lib.mjs';

const UPSTREAM = join(ROOT, 'fixtures/sessions/upstream');
const TALL = { height: 8000 };

async function ready(browser, address, options) {
	const opened = await open(browser, address, options);
	await opened.page.waitForSelector('[role="tab"], .empty', { state: 'attached', timeout: 60_000 });
	await settle(opened.page);
	return opened;
}

/** The whole tree, groups too. */
async function openAll(page) {
	await page.locator('.rows-in [role="treeitem"]').first().click();
	await page.keyboard.press('Home');
	await page.keyboard.press('Alt+ArrowRight');
	await settle(page);
}

/** All rows of the tree but the boxes of groups, groups opened: [label, seconds], by label and time. */
async function rowsShown(page) {
	await openAll(page);
	const read = () =>
		page.evaluate(() =>
			[...document.querySelectorAll('.rows-in [role="treeitem"]')]
				.filter((row) => !row.hidden)
				.map((row) => ({ y: row.getBoundingClientRect().top, group: /^\d+ frames? (hidden|shown)/.test(row.querySelector('.n').textContent), shut: row.getAttribute('aria-expanded') === 'false', label: row.querySelector('.n').textContent, time: row.querySelector('.num').textContent })),
		);
	const list = await read();
	assert.ok(!list.some((row) => row.shut), `all is open: ${JSON.stringify(list.find((row) => row.shut))}`);
	return sorted(list.filter((row) => !row.group).map((row) => [row.label, Number(row.time.replace('~', ''))]));
}

const sorted = (rows) => rows.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1]));

/** The label of a row of C. */
function labelOf(row, depth) {
	if (!depth && row.name === '[root]') return 'all threads';
	return row.cls ? `${row.cls}.${row.name}` : row.name;
}

function same(got, expected, where) {
	assert.deepEqual(got.map((row) => row[0]), expected.map((row) => row[0]), `${where}: rows`);
	got.forEach((row, i) => assert.ok(Math.abs(row[1] - expected[i][1]) <= 0.00101, `${where}: ${row[0]} ${row[1]}, C says ${expected[i][1]}`));
	return got.length;
}

async function likeC(browser) {
	if (!hasPageTree) return { skip: 'build/tests/report/page_tree is not built' };
	const cases = [
		['', {}],
		['#min=0.01', { filter_threshold: 0.01 }],
		['#hide=custom&hp=proj', { hide_regex: 'proj' }],
		['#hide=custom&sp=ssl%7Cjson', { show_regex: 'ssl|json' }],
	];
	let compared = 0;
	for (const name of ['orders-3.10', 'crawl-3.12', 'words-3.14', 'feeds-3.12']) {
		const session = join(UPSTREAM, `${name}.pyisession`);
		const address = made(session);
		for (const [fragment, options] of cases) {
			const { page, trouble, close } = await ready(browser, address, { ...TALL, fragment });
			const expected = sorted(rowsOfC(session, { filter_threshold: 0.001, ...options }).map((row) => [labelOf(row, row.depth), row.time]));
			compared += same(await rowsShown(page), expected, `${name} ${fragment}`);
			assert.deepEqual(trouble, []);
			await close();
		}
	}
	/* the same by hand: the library toggle, a pattern, a threshold */
	const session = join(UPSTREAM, 'crawl-3.12.pyisession');
	const { page, trouble, close } = await ready(browser, made(session), TALL);
	await page.keyboard.press('l');
	await settle(page);
	assert.equal(await page.locator('.rows-in .n', { hasText: 'frames hidden' }).filter({ visible: true }).count(), 0, 'l: no group');
	await page.keyboard.press('l');
	await page.getByRole('button', { name: /View options/ }).click();
	await page.locator('input[name="collapse"]').nth(1).check();
	await page.locator('fieldset input:not([type="radio"]):not([type="checkbox"]):not([type="number"])').first().fill('ssl');
	await page.locator('fieldset input[type="number"]').first().fill('2');
	await page.keyboard.press('Escape');
	await settle(page);
	const expected = sorted(rowsOfC(session, { filter_threshold: 0.02, hide_regex: 'ssl' }).map((row) => [labelOf(row, row.depth), row.time]));
	compared += same(await rowsShown(page), expected, 'by hand');
	assert.deepEqual(trouble, []);
	await close();
	return `${compared} rows`;
}

/** Time of every row of a text report by name and place, added up. */
function timesOfText(text) {
	const times = new Map();
	for (const line of text.split('\n')) {
		const found = /^[ │├└─]*(\d+\.\d{3}) (.+?)  (\S.*)$/.exec(line);
		if (!found || found[2] === '[self]') continue;
		/* the page has no line for what is no file */
		const key = `${found[2]}  ${found[3].replace(/^(<.*>):\d+$/, '$1')}`;
		times.set(key, (times.get(key) ?? 0) + Number(found[1]));
	}
	return times;
}

async function likeText(browser) {
	let compared = 0;
	for (const name of ['orders-3.10', 'queens-3.11', 'words-3.14', 'code-3.14']) {
		const session = join(UPSTREAM, `${name}.pyisession`);
		const text = timesOfText(run('--load', session, '-r', 'text', '--show-regex', '.*'));
		const { page, trouble, close } = await ready(browser, made(session), { ...TALL, fragment: '#min=0.01&hide=custom&sp=.*' });
		await openAll(page);
		const shown = await page.evaluate(() => [...document.querySelectorAll('.rows-in [role="treeitem"]')].filter((row) => !row.hidden).map((row) => [row.querySelector('.n').textContent, row.querySelector('.n').nextElementSibling?.textContent ?? '', row.querySelector('.num').textContent]));
		const times = new Map();
		for (const [label, place, time] of shown) {
			const key = `${label}  ${place.trim()}`;
			times.set(key, [(times.get(key)?.[0] ?? 0) + Number(time.replace('~', '')), (times.get(key)?.[1] ?? 0) + 1]);
		}
		assert.ok(text.size > 2, `${name}: the text report has rows`);
		for (const [key, seconds] of text) {
			assert.ok(times.has(key), `${name}: ${key} is on the page: ${[...times.keys()]}`);
			const [time, rows] = times.get(key);
			assert.ok(Math.abs(time - seconds) <= 0.00101 * rows, `${name}: ${key}: ${time} on the page, ${seconds} as text`);
			compared++;
		}
		assert.deepEqual(trouble, []);
		await close();
	}
	return `${compared} functions`;
}

async function opensAll(browser) {
	let count = 0;
	for (const session of sessions()) {
		let address;
		try {
			address = made(session);
		} catch {
			continue; // refused, and why is another test's
		}
		const { page, trouble, close } = await ready(browser, address);
		for (const key of ['2', '3', '4', '5', '1']) {
			await page.keyboard.press(key);
			await settle(page);
		}
		assert.deepEqual(trouble, [], basename(session));
		assert.equal(await page.locator('#app [role="alert"]').count(), 0, basename(session));
		count++;
		await close();
	}
	assert.ok(count >= 15, `${count} sessions`);
	return `${count} sessions`;
}

const HOSTILE = ['</script><script>globalThis.hurt=1</script>', '<img src=x onerror="globalThis.hurt=1">', '<!--<script>', ']]>', '\u202egnp.exe', '"\'><svg onload=globalThis.hurt=1>', 'x'.repeat(10_240), '\u2028\u2029', '&lt;b&gt;'];

async function hostile(browser) {
	const info = (name, path, at) => `${name}\0${path}\0${at}\x01l${at}`;
	const stack = HOSTILE.map((name, i) => info(name, i % 2 ? `/srv/${name}.py` : name, i + 1));
	const session = { ...JSON.parse(readFileSync(join(ROOT, 'fixtures/sessions/one.pyisession'), 'utf8')), frame_records: [[stack, 0.5], [stack.slice(0, 3), 0.5]], start_call_stack: [], sample_count: 2, duration: 1, target_description: HOSTILE[0] };
	const address = made(save(JSON.stringify(session), '.pyisession'));
	const file = fileURLToPath(address);
	const text = readFileSync(file, 'utf8');
	for (const policy of [true, false]) {
		if (!policy) writeFileSync(file, text.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, ''));
		const { page, trouble, close } = await ready(browser, address, { fragment: '#hide=off' });
		for (const key of ['2', '3', '4', '5', '?', 'Escape', '1']) {
			await page.keyboard.press(key);
			await settle(page);
		}
		await page.getByRole('button', { name: 'Expand all' }).click();
		await settle(page);
		const shown = await page.locator('.rows-in').innerText();
		for (const name of [HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[5]]) assert.ok(shown.includes(name), `${name} is shown as it is`);
		assert.equal(await page.evaluate(() => globalThis.hurt), undefined);
		assert.equal(await page.evaluate(() => document.querySelectorAll('img, svg, iframe, object, embed').length), 0);
		assert.equal(await page.evaluate(() => document.querySelectorAll('script').length) <= 3, true);
		assert.deepEqual(trouble, []);
		await close();
	}
}

async function compares(browser) {
	const base = join(UPSTREAM, 'queens-3.8.pyisession');
	const { page, trouble, close } = await ready(browser, made(join(UPSTREAM, 'queens-3.11.pyisession'), '--diff', base));
	await page.keyboard.press('6');
	await settle(page);
	const text = await page.locator('.view').innerText();
	assert.match(text, /[▲▼] [+−]\d+\.\d+ s/);
	assert.match(await page.locator('header').innerText(), /Compared with/);
	assert.deepEqual(trouble, []);
	await close();
}

/** No mouse: Tab into each view, move, and what has the focus is seen. */
async function byKeys(browser) {
	const { page, trouble, close } = await ready(browser, made(join(UPSTREAM, 'queens-3.11.pyisession')));
	const state = () =>
		page.evaluate(() => {
			const at = document.activeElement;
			const style = getComputedStyle(at);
			const box = at.getBoundingClientRect();
			const follow = at.getAttribute('aria-activedescendant');
			return { view: !!at.closest('#view') && !!at.closest('.rows, [role="application"], [role="tree"], [role="grid"], [role="table"], [role="listbox"], [role="treegrid"], [tabindex]') && !['BUTTON', 'SELECT', 'INPUT'].includes(at.tagName), outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, seen: box.bottom > 0 && box.top < innerHeight && box.width > 0, says: `${(follow ? document.getElementById(follow) : at)?.textContent} ${document.querySelector('#view .sel')?.textContent}`, hash: location.hash, tag: `${at.tagName}.${at.className}` };
		});
	const names = ['Tree', 'Flame', 'Timeline', 'Functions', 'Source'];
	for (let view = 0; view < names.length; view++) {
		/* to the tab and on: tabs by arrow */
		await page.evaluate(() => document.activeElement.blur());
		await page.keyboard.press(String(view + 1));
		await settle(page);
		let found = null;
		const trail = [];
		for (let i = 0; i < 60 && !found; i++) {
			await page.keyboard.press('Tab');
			const now = await state();
			trail.push(now.tag);
			assert.ok(now.seen || now.tag.startsWith('BODY'), `${names[view]}: focus on what is not seen: ${now.tag}`);
			if (now.view) found = now;
		}
		assert.ok(found, `${names[view]}: Tab reaches the view: ${trail.join(' ')}`);
		assert.ok(found.outline, `${names[view]}: a focus ring of 2 px: ${found.tag}`);
		await page.keyboard.press('Home');
		await settle(page);
		const first = await page.locator('footer').innerText();
		const said = (await state()).says;
		for (const key of ['ArrowDown', 'ArrowDown']) await page.keyboard.press(key);
		await settle(page);
		const then = await page.locator('footer').innerText();
		assert.ok(then !== first || (await state()).says !== said, `${names[view]}: arrows move: ${first} / ${then}`);
	}
	/* the menu of a row, and out of it */
	await page.keyboard.press('1');
	await settle(page);
	await page.evaluate(() => document.activeElement.blur());
	for (let i = 0; i < 60 && !(await state()).view; i++) await page.keyboard.press('Tab');
	await page.keyboard.press('Home');
	await page.keyboard.press('Shift+F10');
	await settle(page);
	assert.ok(await page.locator('[role="menu"], .pop').count(), 'Shift+F10 opens the actions');
	await page.keyboard.press('Escape');
	await settle(page);
	assert.ok((await state()).view, 'Escape goes back to the row');
	assert.deepEqual(trouble, []);
	await close();
}

async function silent(browser) {
	const { page, trouble, close } = await ready(browser, made(join(UPSTREAM, 'crawl-3.12.pyisession')));
	const asked = [];
	page.on('request', (request) => asked.push(request.url()));
	for (const key of ['1', '2', '3', '4', '5', 'd', 'd', 't', 'l', 'i', 'y', '?', 'Escape', '/']) {
		await page.keyboard.press(key);
		await settle(page);
	}
	await page.keyboard.type('ssl');
	await settle(page);
	assert.deepEqual([...asked, ...trouble], []);
	assert.equal(await page.evaluate(() => fetch('https://pyinstrument.invalid/').then(() => 'answered', () => 'refused')), 'refused');
	await close();
}

export const tests = [
	{ number: 1, name: 'real: every stored session opens, every view', run: opensAll },
	{ number: 1, name: 'real: nothing is asked of anyone', run: silent },
	{ number: 3, name: 'real: every view by the keyboard alone', run: byKeys },
	{ number: 7, name: 'real: rows and figures are C\'s, with library toggle, patterns, threshold', run: likeC },
	{ number: 7, name: 'real: each function\'s time is the text report\'s', run: likeText },
	{ number: 9, name: 'real: hostile names do nothing, with and without the policy', run: hostile },
	{ number: 14, name: 'real: --diff opens with its comparison', run: compares },
];
