// SPDX-License-Identifier: BSD-3-Clause
// Builds the page: dist/report.js and dist/report.css, to be read; dist/page.js, both folded into one script, and
// dist/page.css, the style of the summary, which are what the C program puts into pages; dist/MANIFEST. Nobody
// who only builds C runs this.
//   node build.mjs            write dist/
//   node build.mjs --check    build aside and compare with dist/
//   node build.mjs --dev OUT  unminified, into folder OUT
//   node build.mjs --model OUT.mjs   only the model, as a module for tests
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pack } from './pack.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, 'dist');
// What a page carries whatever it shows is to stay below 110 000 bytes, of which markup and policy take 1 000. The
// script and the style as they are read are not carried; their budgets make growth noticed.
const BUDGET = { 'report.js': 205_000, 'report.css': 23_000, 'page.js': 107_000, 'page.css': 500 };
const esbuild = await import('esbuild').catch(() => {
	console.error('esbuild is not installed: npm ci --ignore-scripts --prefix src/report');
	process.exit(77);
});

const TARGET = ['es2020', 'chrome100', 'firefox100', 'safari15.4'];
const common = {
	absWorkingDir: HERE,
	bundle: true,
	charset: 'ascii',
	legalComments: 'inline',
	jsx: 'automatic',
	jsxImportSource: 'preact',
	logLevel: 'warning',
	metafile: true,
	write: false,
	define: { 'process.env.NODE_ENV': '"production"' },
};

/** [{name, bytes}], and the files that went in, relative to this folder. */
async function bundle(minify) {
	const result = await esbuild.build({
		...common,
		entryPoints: { report: 'ui/app.tsx' }, // which imports the style sheet,
		// First of all, so that a test may load the very bytes that are shipped without a document.
		inject: ['model/expose.ts'],
		format: 'iife',
		target: TARGET,
		minify,
		outdir: 'dist',
	});
	const files = result.outputFiles.map((file) => ({
		name: file.path.endsWith('.css') ? 'report.css' : 'report.js',
		bytes: Buffer.from(file.contents),
	}));
	files.sort((a, b) => (a.name < b.name ? 1 : -1));
	if (files.length !== 2 || files[0].name !== 'report.js' || files[1].name !== 'report.css')
		throw new Error(`expected one script and one style sheet, got ${result.outputFiles.map((f) => f.path)}`);
	return { files, inputs: Object.keys(result.metafile.inputs).sort() };
}

/** The script and the style of a page, and what they unfold to. */
async function fold([script, style]) {
	const loader = async (define) => {
		const options = { minify: true, charset: 'ascii', target: TARGET, format: 'iife', define };
		return (await esbuild.transform(readFileSync(join(HERE, 'loader.js'), 'utf8'), options)).code.trimEnd();
	};
	const before = join(DIST, 'page.js');
	const page = await pack(script.bytes, style.bytes, loader, existsSync(before) ? readFileSync(before) : null);
	const { code } = await esbuild.transform(readFileSync(join(HERE, 'static.css'), 'utf8'), { loader: 'css', minify: true, charset: 'ascii' });
	return [
		{ name: 'page.js', bytes: page },
		{ name: 'page.css', bytes: Buffer.from(code.trimEnd()) },
	];
}

const sha256 = (bytes, encoding) => createHash('sha256').update(bytes).digest(encoding);

function manifest(files, inputs) {
	const rows = [];
	for (const name of ['package-lock.json', 'build.mjs', 'pack.mjs', 'loader.js', 'static.css', 'tsconfig.json', ...inputs])
		rows.push(`input ${sha256(readFileSync(join(HERE, name)), 'hex')} ${name}`);
	for (const { name, bytes } of files) rows.push(`output ${sha256(bytes, 'hex')} ${name}`);
	const hash = (suffix) => files.filter(({ name }) => name.endsWith(suffix)).map(({ bytes }) => `'sha256-${sha256(bytes, 'base64')}'`);
	rows.push(`script-src ${hash('.js').join(' ')}`);
	rows.push(`style-src ${hash('.css').join(' ')}`);
	return Buffer.from(`${rows.join('\n')}\n`);
}

/** What must hold for every output, whatever went in. */
function refuse(files) {
	const errors = [];
	for (const { name, bytes } of files) {
		const text = bytes.toString('latin1');
		for (const bad of ['</script', '</style', '<!--'])
			if (text.toLowerCase().includes(bad)) errors.push(`${name} contains ${bad}, which ends or changes its element`);
		if (/[^\x00-\x7f]/.test(text)) errors.push(`${name} is not ASCII`);
		if (/sourceMappingURL/.test(text)) errors.push(`${name} names a source map`);
		if (bytes.length > BUDGET[name]) errors.push(`${name} has ${bytes.length} bytes, more than ${BUDGET[name]}`);
	}
	return errors;
}

async function modelOnly(out) {
	const result = await esbuild.build({
		...common,
		entryPoints: ['model/index.ts'],
		format: 'esm',
		target: 'node18',
		outfile: out,
	});
	mkdirSync(dirname(out), { recursive: true });
	writeFileSync(out, result.outputFiles[0].contents);
}

async function dev(out) {
	const { files } = await bundle(false);
	mkdirSync(out, { recursive: true });
	for (const { name, bytes } of files) writeFileSync(join(out, name), bytes);
	console.log(`${relative(process.cwd(), out) || '.'}: ${files.map((f) => `${f.name} ${f.bytes.length}`).join(', ')}`);
}

async function release(check) {
	const { files: parts, inputs } = await bundle(true);
	const files = [...parts, ...(await fold(parts))];
	const again = await bundle(true);
	const outputs = [...files, { name: 'MANIFEST', bytes: manifest(files, inputs) }];
	const errors = refuse(files);
	parts.forEach((file, i) => {
		if (!file.bytes.equals(again.files[i].bytes)) errors.push(`two builds gave two different ${file.name}`);
	});
	if (check)
		for (const { name, bytes } of outputs) {
			const path = join(DIST, name);
			if (!existsSync(path) || !readFileSync(path).equals(bytes))
				errors.push(`dist/${name} is not what the sources give: make report-bundle, and commit dist/`);
		}
	console.log(files.map((f) => `${f.name} ${f.bytes.length} of ${BUDGET[f.name]} bytes`).join(', '));
	for (const error of errors) console.error(`report: ${error}`);
	if (errors.length) process.exit(1);
	if (check) return;
	mkdirSync(DIST, { recursive: true });
	for (const { name, bytes } of outputs) writeFileSync(join(DIST, name), bytes);
}

const [mode, argument] = process.argv.slice(2);
if (mode === '--model') await modelOnly(argument);
else if (mode === '--dev') await dev(argument);
else await release(mode === '--check');
