// SPDX-License-Identifier: BSD-3-Clause
// The page around the views, the call tree, links, hostile names, paper, and pages without scripts.
import assert from 'node:assert/strict';
import { shop } from './fixtures.mjs';
import { open, settle, write } from './lib.mjs';

async function ready(browser, data, options = {}) {
	const opened = await open(browser, write(data, options.page), options);
	await opened.page.waitForSelector('[role="tab"], .empty, .tabs-menu', { timeout: 60_000, state: 'attached' });
	await settle(opened.page);
	return opened;
}

/** The rows of the tree in sight, in order: [level, name, total, selected]. */
const rows = (page) =>
	page.evaluate(() =>
		[...document.querySelectorAll('.rows-in [role="treeitem"]')]
			.filter((row) => !row.hidden)
			.map((row) => ({
				y: row.getBoundingClientRect().top,
				level: Number(row.getAttribute('aria-level')),
				name: row.querySelector('.n').textContent,
				total: row.querySelector('.num').textContent,
				open: row.getAttribute('aria-expanded'),
				place: `${row.getAttribute('aria-posinset')}/${row.getAttribute('aria-setsize')}`,
				selected: row.getAttribute('aria-selected') === 'true',
				stop: row.tabIndex,
			}))
			.sort((a, b) => a.y - b.y),
	);
const active = async (page) => (await rows(page)).find((row) => row.selected).name;
const press = async (page, ...keys) => {
	for (const key of keys) await page.keyboard.press(key);
	await settle(page);
};

async function header(browser) {
	const { page, trouble } = await ready(browser, shop({ worker: false }).data);
	const text = await page.locator('header').innerText();
	assert.match(text, /1\.000 s/);
	assert.match(text, /1\u202f000 samples/);
	assert.match(text, /Mostly computing\./);
	assert.match(text, /on CPU\s+80 %/);
	assert.match(text, /waiting\s+20 %/);
	const hot = await page.locator('.hot').innerText();
	assert.match(hot, /0\.500\s+50\.0 %\s+Report\.to_csv/);
	assert.match(hot, /0\.100\s+10\.0 %\s+Report\.run/);
	assert.match(hot, /Waiting: 200 ms/);
	assert.equal(await page.locator('h1').count(), 1);
	assert.equal(await page.locator('#static').isVisible(), false);
	assert.deepEqual(trouble, []);
}

async function tree(browser) {
	const { page, trouble } = await ready(browser, shop({ worker: false }).data);
	let seen = await rows(page);
	assert.equal(seen[0].name, '<module>');
	assert.equal(seen[0].total, '1.000');
	const run = seen.find((row) => row.name === 'Report.run');
	assert.equal(run.total, '0.800');
	assert.equal(run.level, 2);
	assert.equal(run.place, '1/2');
	assert.equal(seen.filter((row) => row.stop === 0).length, 1, 'one Tab stop');
	await page.locator('.rows-in [role="treeitem"]', { hasText: 'Report.run' }).first().click();
	await settle(page);
	assert.equal(await active(page), 'Report.run');
	await press(page, 'ArrowLeft');
	seen = await rows(page);
	assert.equal(seen.find((row) => row.name === 'Report.run').open, 'false');
	assert.ok(!seen.some((row) => row.name === 'Report.to_csv'));
	await press(page, 'Alt+ArrowRight', 'ArrowDown');
	assert.equal(await active(page), 'Report.to_csv');
	await press(page, 'ArrowLeft', 'ArrowLeft');
	assert.equal(await active(page), 'Report.run', 'left goes to the parent from a leaf, then closes it');
	await press(page, 'ArrowRight', 'Enter');
	assert.equal((await rows(page))[0].name, 'Report.run', 'Enter focuses on the subtree');
	assert.match(await page.locator('footer').innerText(), /1 filter on/);
	await press(page, 'Backspace');
	assert.equal((await rows(page))[0].name, '<module>');
	await press(page, 'h');
	assert.ok(!(await rows(page)).some((row) => row.name === 'Report.run'));
	await press(page, 'Shift+H', 't', 't');
	assert.equal((await rows(page)).find((row) => row.name === 'Report.run').total, '80.0 %');
	await press(page, 'Tab', 'Shift+Tab');
	assert.ok(await page.evaluate(() => document.activeElement.closest('.rows') !== null), 'Tab comes back to the tree');
	assert.deepEqual(trouble, []);
}

async function link(browser) {
	const { data } = shop();
	const address = write(data);
	const first = await open(browser, address, { fragment: '#t=0.1-0.9' });
	await first.page.waitForSelector('[role="treeitem"]');
	await first.page.keyboard.press('/');
	await first.page.keyboard.type('to_csv');
	await first.page.keyboard.press('Enter');
	await settle(first.page);
	assert.equal(await active(first.page), 'Report.to_csv');
	await first.page.waitForFunction(() => location.hash.includes('q=to_csv') && location.hash.includes('f=n'));
	const hash = await first.page.evaluate(() => location.hash);
	const second = await open(browser, address, { fragment: hash });
	await second.page.waitForSelector('[role="treeitem"]');
	await settle(second.page);
	assert.equal(await active(second.page), 'Report.to_csv');
	assert.deepEqual((await rows(second.page)).map((row) => row.total), (await rows(first.page)).map((row) => row.total));
	// Another session: the stack is found again by its names, and what is not there is said.
	const other = { ...data, meta: { ...data.meta, hash: 'ffffffff' } };
	const third = await open(browser, write(other), { fragment: `${hash}&z=n4.00000000` });
	await third.page.waitForSelector('[role="treeitem"]');
	await settle(third.page);
	assert.equal(await active(third.page), 'Report.to_csv');
	assert.match(await third.page.locator('footer').innerText(), /Not in this report: the zoomed frame/);
	const garbage = await open(browser, address, { fragment: '#v=%%%&t=9-1&th=99,-3&f=n99999999&z=x&q=re:(&hide=zz&u=qq&hf=zz&c=__proto__' });
	await garbage.page.waitForSelector('[role="treeitem"]');
	assert.deepEqual([...first.trouble, ...second.trouble, ...third.trouble, ...garbage.trouble], []);
}

const HOSTILE = ['</script><script>window.hurt=1</script>', '<img src=x onerror="window.hurt=1">', '\u202eevil\u202c', '&lt;b&gt;', '<!--', 'n'.repeat(10_000), '__proto__', '"><svg onload=window.hurt=1>'];

async function hostile(browser) {
	for (const page of [{}, { policy: false }, { raw: true }]) {
		const { data } = shop({ worker: false });
		data.strings = data.strings.map((text, index) => (index && ['to_csv', 'run', 'dumps', 'legacy', 'shop.py', 'Report', 'MainThread'].includes(text) ? HOSTILE[index % HOSTILE.length] : text));
		data.meta.notes = HOSTILE;
		// Unescaped, the text ends its element: only the policy stands then, and nothing must run.
		const opened = await open(browser, write(data, page));
		await opened.page.waitForTimeout(page.raw ? 300 : 0);
		if (!page.raw) {
			await opened.page.waitForSelector('[role="treeitem"]', { timeout: 60_000 });
			for (const key of ['2', '3', '4', '5', '1', '?', 'Escape']) await press(opened.page, key);
			assert.deepEqual(opened.trouble, []);
			assert.equal(await opened.page.evaluate(() => document.querySelectorAll('#app img, #app svg, #app script').length), 0);
		}
		assert.equal(await opened.page.evaluate(() => window.hurt), undefined);
		await opened.close();
	}
}

async function narrow(browser) {
	for (const [width, height] of [[390, 844], [640, 400]]) {
		const { page, trouble, close } = await ready(browser, shop().data, { width, height });
		assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, `${width} px: nothing sticks out`);
		const overlaps = await page.evaluate(() => {
			const boxes = ['.top', '.summary', '.bar-row', '.body', 'footer'].map((name) => document.querySelector(name).getBoundingClientRect());
			return boxes.slice(1).some((box, index) => box.top < boxes[index].bottom - 1);
		});
		assert.equal(overlaps, false, `${width} px: nothing covers anything`);
		assert.deepEqual(trouble, []);
		await close();
	}
}

async function paper(browser) {
	const { page, trouble } = await ready(browser, shop({ worker: false }).data, { dark: true });
	await page.evaluate(() => window.dispatchEvent(new Event('beforeprint')));
	await page.emulateMedia({ media: 'print' });
	assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
	const text = await page.evaluate(() => document.body.innerText);
	for (const name of ['1.000 s', 'Report.to_csv', 'Report.run', 'dumps', '0.800 Report.run', '#']) assert.ok(text.includes(name), `paper has ${name}`);
	assert.equal(await page.locator('canvas').first().isVisible(), false);
	await page.evaluate(() => window.dispatchEvent(new Event('afterprint')));
	assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
	assert.deepEqual(trouble, []);
}

async function withoutScripts(browser) {
	const { page } = await open(browser, write(shop().data, { summary: '1.000 run  shop.py:10' }), { javaScriptEnabled: false });
	assert.ok(await page.locator('#static').isVisible());
	assert.match(await page.locator('#static').innerText(), /1\.000 run/);
}

async function damaged(browser) {
	for (const payload of ['{"v":1,', '{"v":7}', '[]', 'null']) {
		const { page, close } = await open(browser, write(payload, { summary: 'the summary' }));
		await page.waitForSelector('[role="alert"]');
		assert.match(await page.locator('[role="alert"]').innerText(), /could not be opened/);
		assert.ok(await page.locator('#static').isVisible());
		await close();
	}
}

/** Without states the threads' clocks say who computed; ticks that were missed are counted as ticks. */
async function clocks(browser) {
	const { data } = shop();
	data.meta.has_states = false;
	data.meta.missed = 250;
	for (const [i, thread] of data.threads.entries()) {
		delete thread.state;
		thread.cpu = i ? 0.02 : 0.3;
	}
	const { page, trouble } = await ready(browser, data);
	const text = await page.locator('header').innerText();
	assert.match(text, /Mostly waiting, not computing\./);
	assert.match(text, /on CPU\s+20 %/);
	assert.match(text, /waiting, or held up by the GIL\s+80 %/);
	assert.match(text, /250 samples missed \(20\.0 %\)/);
	assert.deepEqual(trouble, []);
}

export const tests = [
	{ number: 2, name: 'page: without states the clocks of threads are the verdict', run: clocks },
	{ number: 2, name: 'page: header, verdict and hot list show the known figures', run: header },
	{ number: 3, name: 'page: tree: click, arrows, focus, hiding, roles', run: tree },
	{ number: 8, name: 'page: a link opens the same place, also in another report; garbage is refused', run: link },
	{ number: 9, name: 'page: hostile names do nothing, with and without the policy', run: hostile },
	{ number: 10, name: 'page: narrow windows and 200 % text: nothing is cut or covered', run: narrow },
	{ number: 11, name: 'page: paper: light, header, hot list and tree', run: paper },
	{ number: 12, name: 'page: without scripts the summary is seen', run: withoutScripts },
	{ number: 17, name: 'page: a damaged payload is said, and the summary stays', run: damaged },
];
