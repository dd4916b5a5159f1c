// SPDX-License-Identifier: BSD-3-Clause
// The page around the views: opening, figures, tree, search, links, hostile names, narrow and dark, print,
// and no scripts at all.
import assert from 'node:assert/strict';
import { shop } from './fixtures.mjs';
import { open, settle, write } from './lib.mjs';
import { ready } from './views.test.mjs';

const rows = (page) =>
	page.evaluate(() =>
		[...document.querySelectorAll('[role="treeitem"]')]
			.filter((row) => !row.hidden && row.checkVisibility())
			.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
			.map((row) => ({
				text: row.innerText.replace(/\s+/g, ' '),
				level: Number(row.getAttribute('aria-level')),
				expanded: row.getAttribute('aria-expanded'),
				place: `${row.getAttribute('aria-posinset')}/${row.getAttribute('aria-setsize')}`,
				selected: row.getAttribute('aria-selected') === 'true' || row.classList.contains('sel'),
			})),
	);
const chosen = async (page) => (await rows(page)).find((row) => row.selected)?.text ?? '';
const key = async (page, name) => {
	await page.keyboard.press(name);
	await settle(page);
};

async function opens(browser) {
	for (const dark of [false, true]) {
		const { page, trouble, close } = await ready(browser, shop().data, { dark });
		for (const name of ['1', '2', '3', '4', '5', '?', 'Escape']) await key(page, name);
		assert.deepEqual(trouble, []);
		assert.equal(await page.locator('h1').count(), 1);
		for (const landmark of ['header', 'main', 'aside']) assert.ok(await page.locator(landmark).count(), landmark);
		await close();
	}
}

async function figures(browser) {
	const { page, close } = await ready(browser, shop({ worker: false }).data);
	assert.equal(await page.title(), '1.00s - shop.py - pyinstrument');
	const header = await page.locator('header').innerText();
	for (const part of ['shop.py', '1.000 s', '000 samples', '80 %', '20 %']) assert.ok(header.includes(part), `${part} in ${header}`);
	const hot = await page.locator('.hot').innerText();
	assert.match(hot, /^[\s\S]*Report\.to_csv[\s\S]*Report\.run/);
	assert.ok(!/1\s+wait/.test(hot), 'waiting is not the hottest function');
	assert.match(hot, /0\.500/);
	assert.match(hot, /[Ww]aiting[\s\S]*200 ms/);
	await close();
}

async function tree(browser) {
	const { page, trouble, close } = await ready(browser, shop({ worker: false }).data);
	let shown = await rows(page);
	assert.match(shown[0].text, /1\.000.*<module>/);
	const csv = shown.find((row) => /to_csv/.test(row.text));
	assert.deepEqual([csv.level, csv.place], [3, '1/3']);
	await page.locator('[role="treeitem"]').filter({ hasText: 'Report.run' }).first().click();
	await settle(page);
	assert.match(await chosen(page), /Report\.run/);
	await key(page, 'ArrowDown');
	assert.match(await chosen(page), /to_csv/);
	await key(page, 'ArrowLeft');
	assert.match(await chosen(page), /Report\.run/);
	await key(page, 'ArrowLeft');
	assert.equal((await rows(page)).find((row) => /Report\.run/.test(row.text)).expanded, 'false');
	assert.ok(!(await rows(page)).some((row) => /to_csv/.test(row.text)));
	await key(page, 'Alt+ArrowRight');
	assert.ok((await rows(page)).some((row) => /to_csv/.test(row.text)));
	await key(page, 'Home');
	assert.match(await chosen(page), /<module>/);
	await key(page, 'End');
	assert.match(await chosen(page), /wait/);
	const stops = await page.evaluate(() => document.querySelectorAll('[role="tree"] [tabindex="0"], [role="tree"][tabindex="0"]').length);
	assert.equal(stops, 1, 'one Tab stop in the tree');
	assert.deepEqual(trouble, []);
	await close();
}

async function find(browser) {
	const { page, trouble, close } = await ready(browser, shop({ worker: false }).data);
	await key(page, '/');
	await page.keyboard.type('json');
	await page.waitForFunction(() => /1 function\b.*20\.0 %/s.test(document.querySelector('.search').innerText), null, { timeout: 10_000 });
	await key(page, 'Enter');
	assert.match(await chosen(page), /dumps/);
	await key(page, 'Escape');
	await page.evaluate(() => document.activeElement.blur());
	await page.keyboard.press('/');
	await page.keyboard.type('to_csv');
	await page.waitForFunction(() => /1 function\b.*50\.0 %/s.test(document.querySelector('.search').innerText), null, { timeout: 10_000 });
	const say = () => page.evaluate(() => document.getElementById(document.querySelector('.view [role="application"]').getAttribute('aria-activedescendant'))?.textContent ?? '');
	for (const view of ['2', '3']) {
		await page.evaluate(() => document.activeElement.blur());
		await key(page, view);
		await key(page, '/');
		await key(page, 'Enter');
		assert.match(await say(), /^Report\.to_csv/, `view ${view}`);
	}
	await page.locator('.search input').fill('re:(');
	await settle(page);
	assert.equal(await page.locator('.search input').getAttribute('aria-invalid'), 'true');
	assert.deepEqual(trouble, []);
	await close();
}

async function link(browser) {
	const { data } = shop();
	const address = write(data);
	const one = await open(browser, address, { fragment: '#v=flame&t=0.10-0.60' });
	await one.page.waitForSelector('.flame-scroll');
	await settle(one.page);
	await one.page.keyboard.press('Home');
	await one.page.keyboard.press('ArrowDown');
	await one.page.waitForFunction(() => /[#&]f=/.test(location.hash), null, { timeout: 5000 });
	const fragment = new URL(one.page.url()).hash;
	const look = (page) =>
		page.evaluate(() => [document.querySelector('[role="tab"][aria-selected="true"]').textContent, document.querySelector('aside h2').textContent, document.querySelector('footer').innerText]);
	const before = await look(one.page);
	await one.close();
	const two = await open(browser, address, { fragment });
	await two.page.waitForSelector('.flame-scroll');
	await settle(two.page);
	assert.deepEqual(await look(two.page), before);
	assert.match(new URL(two.page.url()).hash, /v=flame.*t=0\.1-0\.6/);
	assert.deepEqual(two.trouble, []);
	await two.close();
	/* garbage is no trouble */
	const three = await open(browser, address, { fragment: '#v=%ff&t=9-1&th=99999,-1&f=nX&z=n999999999&q=re:(((' });
	await three.page.waitForSelector('[role="tab"]');
	assert.deepEqual(three.trouble, []);
	await three.close();
}

async function hostile(browser) {
	const names = ['</script><script>globalThis.broken=1</script>', '<img src=x onerror="globalThis.broken=1">', '<!--', ']]>', '\u202egnp.exe', '"\'><svg onload=globalThis.broken=1>', `${'x'.repeat(10_000)}`];
	for (const raw of [false, true]) {
		const { data } = shop({ worker: false });
		names.forEach((name, at) => {
			const index = data.strings.push(name) - 1;
			if (at === 0) data.meta.program = index;
			if (at === 1) data.meta.command = index;
		});
		const text = data.strings.indexOf('to_csv');
		for (const name of raw ? names.slice(0, 2) : names) {
			data.strings[text] = name;
			const opened = await open(browser, write(data, { raw }));
			const { page } = opened;
			if (!raw) {
				await page.waitForSelector('[role="tab"]');
				await settle(page);
				for (const view of ['2', '3', '4', '5', '1']) await key(page, view);
				const content = await page.evaluate(() => document.body.innerText);
				if (name.length < 100 && !/[\u202e]/.test(name)) assert.ok(content.includes(name), `${name} is shown as it is`);
				assert.deepEqual(opened.trouble, []);
				assert.equal(await page.evaluate(() => document.querySelectorAll('img, svg, iframe, object').length), 0);
			}
			await settle(page);
			assert.equal(await page.evaluate(() => globalThis.broken), undefined, `${raw ? 'the policy alone' : 'escaped'}: ${name.slice(0, 40)}`);
			await opened.close();
		}
	}
}

async function shapes(browser) {
	const { data } = shop();
	for (const options of [{ width: 390, height: 844 }, { width: 640, height: 400 }, { width: 1280, height: 800, dark: true }, { width: 1280, height: 800, forcedColors: 'active' }]) {
		const { page, trouble, close } = await ready(browser, data, options);
		const what = JSON.stringify(options);
		for (const view of ['1', '2', '3', '4', '5']) {
			await key(page, view);
			const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
			assert.ok(wide <= 0, `${what}, view ${view}: ${wide} px wider than the window`);
			const small = await page.evaluate(() => {
				const element = document.querySelector('main .rows, main .flame-host, main .lane-host');
				const box = element.getBoundingClientRect();
				const top = document.elementFromPoint(box.left + box.width / 2, Math.min(box.top + 20, innerHeight - 1));
				return box.height < 60 || (box.top < innerHeight && top && !element.contains(top)) ? `${element.className} ${box.height}` : '';
			});
			assert.equal(small, '', `${what}, view ${view}: covered or too low`);
		}
		await key(page, '1');
		const content = await page.evaluate(() => document.body.innerText);
		assert.match(content, /Report\.to_csv/);
		assert.deepEqual(trouble, [], what);
		await close();
	}
}

async function prints(browser) {
	const { page, trouble, close } = await ready(browser, shop({ worker: false }).data);
	await page.emulateMedia({ media: 'print' });
	await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
	await settle(page);
	const text = await page.evaluate(() => document.body.innerText);
	for (const part of ['shop.py', 'Report.to_csv', 'Report.run', 'dumps', '0.500']) assert.ok(text.includes(part), `${part} on paper`);
	assert.equal(await page.evaluate(() => [...document.querySelectorAll('canvas')].filter((canvas) => canvas.checkVisibility()).length), 0);
	const pdf = await page.pdf();
	assert.ok(pdf.length > 2000 && pdf.subarray(0, 5).toString() === '%PDF-');
	assert.deepEqual(trouble, []);
	await close();
}

async function noScripts(browser) {
	const { page, close } = await open(browser, write(shop().data, { summary: '1.000 <module>  shop.py:1' }), { javaScriptEnabled: false });
	assert.ok(await page.locator('#static').isVisible());
	assert.equal(await page.locator('#static').innerText(), '1.000 <module>  shop.py:1');
	await close();
}

export const tests = [
	{ number: 1, name: 'opens from a file: no error, no request', run: opens },
	{ number: 2, name: 'title, verdict and hot list show the known figures', run: figures },
	{ number: 3, name: 'tree: mouse, keys, ARIA', run: tree },
	{ number: 4, name: 'search selects in tree, flame and timeline', run: find },
	{ number: 8, name: 'a link shows the same place again', run: link },
	{ number: 9, name: 'hostile names do nothing, by escaping and by policy', run: hostile },
	{ number: 10, name: 'narrow, 200 %, dark, forced colours: nothing covered, nothing cut', run: shapes },
	{ number: 11, name: 'print: header, functions and tree, no canvas', run: prints },
	{ number: 12, name: 'without scripts the summary is there', run: noScripts },
];
