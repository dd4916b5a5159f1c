// SPDX-License-Identifier: BSD-3-Clause
// What the model tests share. The model is taken from the bundle that is shipped: without a document
// report.js shows its model. PYI_REPORT_MODEL names a module to test instead, while one works on the sources.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');
export const BUILD = process.env.PYI_BUILD ?? join(ROOT, 'build');
export const BINARY = process.env.PYI_BINARY ?? join(BUILD, 'pyinstrument');


async function load() {
	if (process.env.PYI_REPORT_MODEL) return import(pathToFileURL(process.env.PYI_REPORT_MODEL).href);
	const path = join(ROOT, 'src/report/dist/report.js');
	// Its own globals would make its arrays strangers to the assertions.
	vm.runInThisContext(readFileSync(path, 'utf8'), { filename: path });
	return globalThis.pyinstrumentModel;
}
export const model = await load();

/** The page's defaults. */
export const DEFAULTS = {
	collapse: 'library',
	hide: '',
	show: '',
	importlib: true,
	tracebackhide: true,
	profiler: true,
	threshold: 0.001,
	selfRows: true,
	mergeLines: true,
	mergeRecursion: false,
	hiddenFuncs: [],
	hiddenModules: [],
	match: null,
	focusFunc: null,
	focusNode: null,
	invert: false,
};
/** Everything as recorded. */
export const OFF = { ...DEFAULTS, collapse: 'off', importlib: false, tracebackhide: false, profiler: false, threshold: 0, selfRows: false };

export function scopeOf(profile, more = {}) {
	const all = profile.threads.map((_, i) => i);
	const busy = all.filter((i) => !profile.threads[i].idle);
	return { threads: busy.length ? busy : all, merged: false, range: null, base: false, ...more };
}

export const toProfile = (payload) => model.decode(JSON.stringify(payload));

/** The payload our binary writes for a session; null when this build has no such renderer. */
export function written(path, ...options) {
	if (!existsSync(BINARY)) return null;
	// Not on a terminal, -r html writes the page to standard output.
	const page = execFileSync(BINARY, ['--load', path, '-r', 'html', ...options], { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
	const data = /<script type="application\/json" id="session">(.*?)<\/script>/s.exec(page);
	return data ? data[1] : null;
}

export const hasWriter = (() => {
	try {
		return existsSync(BINARY) && written(join(ROOT, 'fixtures/sessions/one.pyisession')) !== null;
	} catch {
		return false;
	}
})();

export function sessions() {
	const out = [];
	for (const folder of ['fixtures/sessions', 'fixtures/sessions/upstream', 'fixtures/expected']) {
		const path = join(ROOT, folder);
		if (existsSync(path)) for (const name of readdirSync(path).sort()) if (name.endsWith('.pyisession')) out.push(join(path, name));
	}
	return out;
}

export const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
