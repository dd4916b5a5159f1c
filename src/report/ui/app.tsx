// SPDX-License-Identifier: BSD-3-Clause
// The page: reads the payload, then replaces the static summary. When anything is wrong with the payload
// the summary stays and a line above it says what.
import './theme.css';
import { Component, type ComponentChildren, type ComponentType, render } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type Profile, decodeInSlices, prepare } from '../model/index';
import { DiffView } from '../views/diff';
import { FlameView } from '../views/flame';
import { FunctionsView } from '../views/functions';
import { SourceView } from '../views/source';
import { TimelineView } from '../views/timeline';
import { TreeView } from '../views/tree';
import { hotOf, treeOf } from './derived';
import { Details } from './details';
import { OptionsMenu } from './filters';
import { Footer } from './footer';
import { UNIT_NAMES, UNIT_SIGNS } from './format';
import { Header } from './header';
import { HotList } from './hotlist';
import { Help, type Shell, installKeys } from './keys';
import { readLink, writeLink } from './link';
import { Items, Menu } from './menu';
import { Overview } from './overview';
import { Paper } from './print';
import { SaveMenu } from './save';
import { Search } from './search';
import { type State, Store, type Theme, UNITS, type Unit, VIEWS, type ViewName, type ViewProps, initialState } from './state';
import { ThreadMenu } from './threads';

const TITLES: Record<ViewName, string> = { tree: 'Tree', flame: 'Flame', timeline: 'Timeline', functions: 'Functions', source: 'Source', diff: 'Diff' };
const PARTS: Record<ViewName, ComponentType<ViewProps>> = { tree: TreeView, flame: FlameView, timeline: TimelineView, functions: FunctionsView, source: SourceView, diff: DiffView };
const STORE_KEY = 'pyinstrument';

// ---- preferences; a page without storage works in full ---------------------------------------

function readPreferences(): { theme: Theme; unit: Unit } {
	let stored: { theme?: unknown; unit?: unknown } = {};
	try {
		stored = JSON.parse(localStorage.getItem(STORE_KEY) ?? '{}') ?? {};
	} catch {
		stored = {};
	}
	return {
		theme: stored.theme === 'light' || stored.theme === 'dark' ? stored.theme : 'system',
		unit: UNITS.includes(stored.unit as Unit) ? (stored.unit as Unit) : 's',
	};
}

function writePreferences(state: State): void {
	try {
		localStorage.setItem(STORE_KEY, JSON.stringify({ theme: state.theme, unit: state.unit }));
	} catch {
		// No storage here: the choice lasts as long as the page.
	}
}

const darkSystem = typeof matchMedia === 'function' ? matchMedia('(prefers-color-scheme: dark)') : null;
function applyTheme(theme: Theme): void {
	const dark = theme === 'dark' || (theme === 'system' && darkSystem?.matches === true);
	document.documentElement.dataset.theme = dark ? 'dark' : 'light';
}

// ---- a view that fails does not take the page with it ----------------------------------------

class Guard extends Component<{ name: string; children: ComponentChildren }, { error: string }> {
	override state = { error: '' };
	static override getDerivedStateFromError(error: unknown) {
		return { error: error instanceof Error ? error.message : String(error) };
	}
	render() {
		if (!this.state.error) return this.props.children;
		return (
			<div class="empty" role="alert">
				<p>The {this.props.name} view failed: {this.state.error}</p>
				<button onClick={() => this.setState({ error: '' })}>Try again</button>
			</div>
		);
	}
}

// ---- the shell --------------------------------------------------------------------------------

const NARROW = 900;

function App({ profile, store, defaults, paper }: { profile: Profile; store: Store; defaults: State; paper: HTMLElement }) {
	const [state, setState] = useState(store.get());
	const [help, setHelp] = useState(false);
	const [narrow, setNarrow] = useState(innerWidth < NARROW);
	const [sheet, setSheet] = useState(false);
	const [summary, setSummary] = useState(true);
	const [, repaint] = useState(0);
	const search = useRef<HTMLInputElement>(null);
	const { set } = store;

	const link = () => `${location.href.split('#')[0]}#${writeLink(profile, store.get(), defaults)}`;

	useLayoutEffect(() => {
		let timer: ReturnType<typeof setTimeout>;
		let noticed: ReturnType<typeof setTimeout>;
		let before = store.get();
		const stop = store.subscribe((next) => {
			if (next.theme !== before.theme) applyTheme(next.theme);
			if (next.theme !== before.theme || next.unit !== before.unit) writePreferences(next);
			if (next.selection !== before.selection && next.selection) setSheet(true);
			if (next.notice && next.notice !== before.notice) {
				clearTimeout(noticed);
				noticed = setTimeout(() => set({ notice: '' }), 6000);
			}
			before = next;
			setState(next);
			clearTimeout(timer);
			timer = setTimeout(() => {
				const fragment = writeLink(profile, store.get(), defaults);
				try {
					history.replaceState(null, '', fragment ? `#${fragment}` : location.href.split('#')[0]);
				} catch {
					// A frame without an origin keeps its address; "Copy link" still works.
				}
			}, 200);
		});
		return () => {
			clearTimeout(timer);
			stop();
		};
	}, []);

	useEffect(() => {
		const shell: Shell = { profile, get: store.get, set, search: () => search.current, help: setHelp, link };
		const remove = installKeys(shell);
		const resized = () => setNarrow(innerWidth < NARROW);
		const hash = () => follow(profile, store, defaults, location.hash);
		const scheme = () => {
			applyTheme(store.get().theme);
			repaint((count) => count + 1);
		};
		// Paper is light, whatever the screen is.
		const beforePrint = () => {
			applyTheme('light');
			render(<Paper profile={profile} state={store.get()} link={link()} />, paper);
		};
		const afterPrint = () => {
			applyTheme(store.get().theme);
			render(null, paper);
		};
		window.addEventListener('resize', resized);
		window.addEventListener('hashchange', hash);
		window.addEventListener('beforeprint', beforePrint);
		window.addEventListener('afterprint', afterPrint);
		darkSystem?.addEventListener?.('change', scheme);
		return () => {
			remove();
			window.removeEventListener('resize', resized);
			window.removeEventListener('hashchange', hash);
			window.removeEventListener('beforeprint', beforePrint);
			window.removeEventListener('afterprint', afterPrint);
			darkSystem?.removeEventListener?.('change', scheme);
		};
	}, []);

	const views = VIEWS.filter((view) => view !== 'diff' || profile.base);
	const View = PARTS[state.view];
	const props: ViewProps = { profile, state, set };
	const tree = profile.threads.length ? treeOf(profile, state.scope, state.filters) : null;
	const empty = !profile.meta.samples && !profile.threads.some((thread) => thread.runs);
	const filtered = !empty && tree !== null && tree.n === 0;
	const wide = state.view === 'functions' || empty;
	const aside = !wide && (!narrow || (sheet && state.selection !== null));
	const tabKeys = (event: KeyboardEvent) => {
		const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
		if (!step) return;
		event.preventDefault();
		const next = views[(views.indexOf(state.view) + step + views.length) % views.length];
		set({ view: next });
		requestAnimationFrame(() => document.getElementById(`tab-${next}`)?.focus());
	};
	return (
		<>
			<Header profile={profile} state={state}>
				<Search {...props} input={search} />
				<Menu label="Theme ▾" name={`Theme: ${state.theme}`}>
					{(close) => <Items close={close} items={(['system', 'light', 'dark'] as Theme[]).map((theme) => ({ label: theme, checked: state.theme === theme, run: () => set({ theme }) }))} />}
				</Menu>
				<SaveMenu {...props} print={() => window.print()} />
				<button title="Keyboard (?)" aria-label="Keyboard" onClick={() => setHelp(true)}>
					?
				</button>
			</Header>
			<div class="summary" hidden={empty || !summary}>
				{!empty && <HotList {...props} />}
				{!empty && <Overview {...props} />}
			</div>
			<nav class="bar-row" aria-label="Views">
				<div class="tabs" role="tablist" aria-label="View" onKeyDown={tabKeys}>
					{views.map((view) => (
						<button
							key={view}
							id={`tab-${view}`}
							role="tab"
							aria-selected={state.view === view}
							aria-controls="view"
							tabIndex={state.view === view ? 0 : -1}
							onClick={() => set({ view })}
						>
							<kbd aria-hidden="true">{VIEWS.indexOf(view) + 1}</kbd>
							{TITLES[view]}
						</button>
					))}
				</div>
				<div class="tabs-menu">
					<Menu label={`${TITLES[state.view]} ▾`} name="View">
						{(close) => <Items close={close} items={views.map((view) => ({ label: TITLES[view], checked: state.view === view, run: () => set({ view }) }))} />}
					</Menu>
				</div>
				<span class="grow" />
				<ThreadMenu {...props} />
				<Menu label={`${UNIT_SIGNS[state.unit]} ▾`} name={`Time format: ${UNIT_NAMES[state.unit]}`}>
					{(close) => <Items close={close} items={UNITS.map((unit) => ({ label: UNIT_NAMES[unit], checked: state.unit === unit, run: () => set({ unit }) }))} />}
				</Menu>
				<OptionsMenu {...props} />
				{!empty && (
					<button class="plain" aria-expanded={summary} title="Hot list and threads over time" onClick={() => setSummary(!summary)}>
						{summary ? '▴' : '▾'} Summary
					</button>
				)}
			</nav>
			<div class={`body${aside && !narrow ? '' : ' wide'}`}>
				<main>
					<div id="view" role="tabpanel" aria-labelledby={`tab-${state.view}`}>
					{empty ? (
						<div class="empty">
							<p>No samples recorded.</p>
							<p class="muted">The program was shorter than the sampling interval, or every thread was idle.</p>
						</div>
					) : filtered && state.view !== 'source' && state.view !== 'timeline' ? (
						<div class="empty">
							<p>All frames were filtered out.</p>
							<button onClick={() => set({ filters: initialState(profile).filters, scope: defaults.scope, search: '', zoom: -1 })}>Reset filters</button>
						</div>
					) : (
						<Guard name={TITLES[state.view]} key={state.view}>
							<View {...props} />
						</Guard>
					)}
					</div>
				</main>
				{aside && (
					<Guard name="details">
						<Details {...props} close={narrow ? () => setSheet(false) : null} />
					</Guard>
				)}
			</div>
			<Footer {...props} />
			<div class="off" role="status" aria-live="polite">
				{state.notice}
			</div>
			{help && <Help close={() => setHelp(false)} />}
		</>
	);
}

function follow(profile: Profile, store: Store, defaults: State, fragment: string): void {
	if (fragment.replace(/^#/, '') === writeLink(profile, store.get(), defaults)) return;
	const { patch, lost } = readLink(profile, fragment, defaults);
	store.set({ ...patch, notice: lost.length ? `Not in this report: ${lost.join(', ')}` : '' });
}

// ---- start ------------------------------------------------------------------------------------

/** Lets the browser paint and answer between two pieces of work. */
function pause(): Promise<void> {
	return new Promise((resolve) => {
		const channel = new MessageChannel();
		channel.port1.onmessage = () => {
			channel.port1.close();
			resolve();
		};
		channel.port2.postMessage(0);
	});
}

function fail(why: string): void {
	applyTheme(readPreferences().theme);
	const box = document.createElement('p');
	box.className = 'empty';
	box.setAttribute('role', 'alert');
	box.textContent = `This report could not be opened: ${why}. What follows is its summary.`;
	const app = document.getElementById('app') ?? document.body;
	app.replaceChildren(box);
	app.className = 'failed';
}

async function start(): Promise<void> {
	const element = document.getElementById('session');
	const app = document.getElementById('app');
	if (!element || !app) {
		fail('the page holds no session');
		return;
	}
	try {
		await pause();
		const profile = await decodeInSlices(element.textContent ?? '', pause);
		element.remove(); // its text is not needed twice
		await pause();
		const preferences = readPreferences();
		const defaults: State = { ...initialState(profile), unit: 's' };
		let first: State = { ...defaults, ...preferences };
		const { patch, lost } = readLink(profile, location.hash, first);
		first = { ...first, ...patch, notice: lost.length ? `Not in this report: ${lost.join(', ')}` : '' };
		applyTheme(first.theme);
		// What the first sight needs, each in a task of its own.
		if (profile.threads.length) {
			for (const thread of first.scope.threads) {
				if (!profile.threads[thread]) continue;
				prepare(profile, profile.threads[thread]);
				await pause();
			}
			treeOf(profile, first.scope, first.filters);
			await pause();
			hotOf(profile, first.scope);
			await pause();
		}
		const runs = profile.threads.reduce((sum, thread) => sum + thread.runs, 0);
		const store = new Store(first, runs + profile.nodes.n > 60000);
		const paper = document.body.appendChild(document.createElement('div'));
		render(<App profile={profile} store={store} defaults={defaults} paper={paper} />, app);
		document.getElementById('static')?.setAttribute('hidden', '');
	} catch (error) {
		fail(error instanceof Error ? error.message : String(error));
	}
}

if (typeof document !== 'undefined') void start();
