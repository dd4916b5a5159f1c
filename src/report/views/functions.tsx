// SPDX-License-Identifier: BSD-3-Clause
// The flat table of functions, files, packages or lines, and beside it who calls the chosen one and
// what it calls, as two small icicles: the sandwich.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type DiffFunctionRow, diffFunctions, functions, sandwich } from '../model/index';
import { type FunctionRow, type Grouping, location, moduleOf, path, type Profile, type ViewTree } from '../model/types';
import { foundOf } from '../ui/derived';
import { heat, integer, KIND_NAMES, percent, time, UNIT_SIGNS } from '../ui/format';
import { lend, type State, type ViewProps } from '../ui/state';
import { Icicle } from './icicle';
import { layoutTree } from './layout';
import { VirtualList } from './list';
import { deltaText, labels, pictureOf } from './picture';

type Column = 'self' | 'total' | 'count' | 'name' | 'file' | 'kind' | 'base' | 'delta' | 'part';
interface Heading {
	column: Column;
	text: string;
	number: boolean;
}
const PLAIN: Heading[] = [
	{ column: 'self', text: 'self', number: true },
	{ column: 'total', text: 'total', number: true },
	{ column: 'count', text: 'samples', number: true },
];
const COMPARED: Heading[] = [
	{ column: 'base', text: 'base self', number: true },
	{ column: 'delta', text: '\u0394 self', number: true },
	{ column: 'part', text: '\u0394 %', number: true },
];
const NAMED: Heading[] = [
	{ column: 'name', text: 'function', number: false },
	{ column: 'file', text: 'file', number: false },
	{ column: 'kind', text: 'kind', number: false },
];

export function deltaPart(base: number, delta: number): string {
	if (!(base > 0)) {
		return delta > 0 ? 'new' : '';
	}
	const part = (delta / base) * 100;
	return `${part > 0 ? '+' : part < 0 ? '\u2212' : ''}${Math.abs(part).toFixed(1)} %`;
}

function nameOf(profile: Profile, row: FunctionRow, by: Grouping): string {
	if (by === 'file') {
		return path(profile, row.func) || '(no file)';
	}
	if (by === 'package') {
		return moduleOf(profile, row.func) || '(no module)';
	}
	return labels(profile)(row.func);
}

function fileOf(profile: Profile, row: FunctionRow, by: Grouping): string {
	return by === 'function' || by === 'line' ? location(profile, row.func, row.line) : '';
}

function sorted(profile: Profile, rows: FunctionRow[], by: Grouping, column: Column, down: boolean): FunctionRow[] {
	const sign = down ? -1 : 1;
	const number = (row: FunctionRow): number =>
		column === 'base'
			? row.baseSelf ?? 0
			: column === 'delta'
				? row.self - (row.baseSelf ?? 0)
				: column === 'part'
					? (row.self - (row.baseSelf ?? 0)) / (row.baseSelf || 1e-9)
					: column === 'kind'
						? profile.funcs.kind[row.func]
						: row[column as 'self' | 'total' | 'count'];
	const text = column === 'name' || column === 'file';
	const keys = new Map<FunctionRow, string | number>();
	for (const row of rows) {
		keys.set(row, text ? (column === 'name' ? nameOf(profile, row, by) : fileOf(profile, row, by)) : number(row));
	}
	return rows.slice().sort((a, b) => {
		const left = keys.get(a) as string | number;
		const right = keys.get(b) as string | number;
		return left < right ? -sign : left > right ? sign : b.self - a.self || b.total - a.total || a.func - b.func;
	});
}

interface SmallProps {
	profile: Profile;
	state: State;
	tree: ViewTree;
	label: string;
	flip: boolean;
	choose: (func: number, node: number) => void;
}

function SmallIcicle({ profile, state, tree, label, flip, choose }: SmallProps) {
	const host = useRef<HTMLDivElement>(null);
	const drawing = useRef<Icicle | null>(null);
	const live = useRef({ tree, choose });
	live.current = { tree, choose };
	const picture = useMemo(() => {
		const name = labels(profile);
		const layout = layoutTree(tree, { order: 'weight', name: (row) => name(tree.func[row]) });
		return pictureOf({ profile, tree, layout, mode: 'kind', hit: null, unit: state.unit });
	}, [profile, tree, state.unit]);
	const rows = useRef(picture.layout.row);
	rows.current = picture.layout.row;
	useLayoutEffect(() => {
		const icicle = new Icicle(host.current as HTMLElement, label, {
			select: () => undefined,
			open: () => false,
			menu: (box) => {
				const row = rows.current[box];
				if (row >= 0) {
					live.current.choose(live.current.tree.func[row], live.current.tree.node[row]);
				}
			},
		});
		drawing.current = icicle;
		const onKey = (event: KeyboardEvent): void => {
			if (event.key === 's' && icicle.shown >= 0 && rows.current[icicle.shown] >= 0) {
				const row = rows.current[icicle.shown];
				live.current.choose(live.current.tree.func[row], live.current.tree.node[row]);
				event.preventDefault();
				event.stopPropagation();
			} else if (icicle.key(event)) {
				event.preventDefault();
				event.stopPropagation();
			}
		};
		const element = host.current as HTMLElement;
		element.addEventListener('keydown', onKey);
		return () => {
			element.removeEventListener('keydown', onKey);
			icicle.destroy();
		};
	}, []);
	useLayoutEffect(() => drawing.current?.set(picture, flip, false), [picture, flip]);
	return <div class="flame-host" ref={host} />;
}

export function FunctionsView({ profile, state, set }: ViewProps) {
	const by = state.grouping;
	const compared = !!profile.base;
	const scroller = useRef<HTMLDivElement>(null);
	const list = useRef<VirtualList | null>(null);
	const [order, setOrder] = useState<{ column: Column; down: boolean }>({ column: 'self', down: true });
	const [chosenKey, setChosenKey] = useState('');
	const rows = useMemo((): FunctionRow[] => (profile.base ? diffFunctions(profile, state.scope, state.filters, by) : functions(profile, state.scope, state.filters, by)), [profile, state.scope, state.filters, by]);
	const shown = useMemo(() => sorted(profile, rows, by, order.column, order.down), [rows, order]);
	const whole = useMemo(() => rows.reduce((sum, row) => sum + row.self, 0), [rows]);
	const found = foundOf(profile, state.search);
	const match = found && !found.empty ? found.funcs : null;
	const func = state.selection?.func ?? -1;
	const index = useMemo(() => {
		const own = shown.findIndex((row) => row.key === chosenKey);
		if (own >= 0 && (by === 'file' || by === 'package' || shown[own].func === func)) {
			return own;
		}
		if (func < 0) {
			return -1;
		}
		const wanted = by === 'file' ? path(profile, func) : by === 'package' ? moduleOf(profile, func) : '';
		return shown.findIndex((row) => (wanted ? nameOf(profile, row, by) === wanted : row.func === func || profile.funcs.ident[row.func] === profile.funcs.ident[func]));
	}, [shown, chosenKey, func, by]);
	const headings = [...PLAIN, ...(compared ? COMPARED : []), ...NAMED];
	const live = useRef({ shown, whole, index, match, by, state, headings });
	live.current = { shown, whole, index, match, by, state, headings };

	const choose = (at: number): void => {
		const row = live.current.shown[at];
		if (row) {
			setChosenKey(row.key);
			set({ selection: { func: row.func, node: -1, row: -1, line: row.line || undefined } });
			list.current?.reveal(at);
		}
	};
	const chooseRef = useRef(choose);
	chooseRef.current = choose;

	useLayoutEffect(() => {
		const fill = (element: HTMLElement, at: number): void => {
			const { shown, whole, index, match, by, state, headings } = live.current;
			const row = shown[at];
			const kind = profile.funcs.kind[row.func];
			const amount = (value: number, count: number): string => time(profile, state.unit, value, count, whole, whole);
			const delta = row.self - (row.baseSelf ?? 0);
			element.className = `f${at === index ? ' sel' : ''}${match && match[row.func] ? ' hit' : ''}${(row as DiffFunctionRow).noisy ? ' noise' : ''}`;
			element.id = `function-${at}`;
			element.setAttribute('aria-rowindex', String(at + 2));
			element.setAttribute('aria-selected', String(at === index));
			headings.forEach(({ column }, cell) => {
				const target = element.children[cell] as HTMLElement;
				let text = '';
				let tone = '';
				switch (column) {
					case 'self':
						text = amount(row.self, row.count);
						tone = heat(whole > 0 ? row.self / whole : 0);
						break;
					case 'total':
						text = amount(row.total, row.count);
						tone = heat(whole > 0 ? row.total / whole : 0);
						break;
					case 'count':
						text = integer(row.count);
						break;
					case 'base':
						text = amount(row.baseSelf ?? 0, row.baseCount ?? 0);
						break;
					case 'delta':
						text = deltaText(profile, state.unit, delta, whole);
						break;
					case 'part':
						text = (row as DiffFunctionRow).gone ? 'gone' : deltaPart(row.baseSelf ?? 0, delta);
						break;
					case 'name':
						text = nameOf(profile, row, by);
						break;
					case 'file':
						text = fileOf(profile, row, by);
						break;
					default:
						text = KIND_NAMES[kind];
				}
				target.className = `${column === 'name' ? 'f-name cut' : column === 'file' || column === 'kind' ? 'cut muted' : `num ${tone}`}${column === 'kind' ? ` f-kind f-kind-${kind}` : ''}`;
				target.textContent = text;
				target.title = column === 'name' || column === 'file' ? text : column === 'self' ? percent(whole > 0 ? row.self / whole : 0) : '';
			});
		};
		const host = scroller.current as HTMLElement;
		const virtual = new VirtualList(host, {
			create: () => {
				const element = document.createElement('div');
				element.setAttribute('role', 'row');
				for (let cell = 0; cell < live.current.headings.length; cell++) {
					const part = document.createElement('span');
					part.setAttribute('role', 'gridcell');
					element.append(part);
				}
				return element;
			},
			fill,
		});
		list.current = virtual;
		const onClick = (event: MouseEvent): void => {
			const element = event.target instanceof Element ? event.target.closest('.f') : null;
			if (element) {
				chooseRef.current(Number(element.id.slice('function-'.length)));
			}
		};
		host.addEventListener('click', onClick);
		const giveBack = lend({
			keys: (event) => {
				const { index, shown } = live.current;
				if (event.altKey || event.ctrlKey || event.metaKey || !shown.length) {
					return false;
				}
				const goes: Record<string, number> = {
					ArrowDown: index + 1,
					ArrowUp: index - 1,
					Home: 0,
					End: shown.length - 1,
					PageDown: index + virtual.page,
					PageUp: index - virtual.page,
				};
				if (!(event.key in goes)) {
					return false;
				}
				chooseRef.current(Math.max(0, Math.min(shown.length - 1, goes[event.key])));
				return true;
			},
			step: (direction) => {
				const { index, shown, match } = live.current;
				if (!match) {
					return false;
				}
				for (let tried = 1; tried <= shown.length; tried++) {
					const at = (Math.max(index, direction > 0 ? -1 : 0) + direction * tried + shown.length * 2) % shown.length;
					if (match[shown[at].func]) {
						chooseRef.current(at);
						return true;
					}
				}
				return false;
			},
			focus: () => host.focus({ preventScroll: true }),
		});
		return () => {
			giveBack();
			host.removeEventListener('click', onClick);
			virtual.close();
		};
	}, [profile]);

	useLayoutEffect(() => list.current?.reset(shown.length), [shown, whole, state.unit]);
	useLayoutEffect(() => {
		list.current?.refresh();
		if (index >= 0) {
			list.current?.reveal(index);
		}
	}, [index, match]);

	const chosen = index >= 0 ? shown[index] : null;
	const both = useMemo(
		() => (chosen ? sandwich(profile, state.scope, chosen.func, state.filters) : null),
		[profile, state.scope, state.filters, chosen?.func],
	);
	const jump = (to: number, node: number): void => set({ selection: { func: to, node, row: -1 } });
	const sort = (column: Column): void => setOrder((now) => (now.column === column ? { column, down: !now.down } : { column, down: column !== 'name' && column !== 'file' && column !== 'kind' }));

	return (
		<section class="view" aria-label="Functions">
			<div class="view-bar">
				<label>
					One row per
					<select value={by} onChange={(event) => set({ grouping: event.currentTarget.value as Grouping })}>
						<option value="function">function</option>
						<option value="file">file</option>
						<option value="package">package</option>
						<option value="line">line</option>
					</select>
				</label>
				<span class="muted">{integer(shown.length)} rows</span>
			</div>
			<div class="split">
				<div
					class={`table${compared ? ' compared' : ''}`}
					role="grid"
					aria-label="Functions"
					aria-rowcount={shown.length + 1}
					aria-colcount={headings.length}
				>
					<div class="f-head" role="row" aria-rowindex={1}>
						{headings.map(({ column, text, number }) => (
							<span
								key={column}
								role="columnheader"
								class={number ? 'num' : 'cut'}
								aria-sort={order.column === column ? (order.down ? 'descending' : 'ascending') : 'none'}
							>
								<button class="plain" onClick={() => sort(column)}>
									{column === 'name' ? by : text}
									{column === 'self' || column === 'total' ? ` ${UNIT_SIGNS[state.unit]}` : ''}
									{order.column === column ? (order.down ? ' \u25be' : ' \u25b4') : ''}
								</button>
							</span>
						))}
					</div>
					<div class="rows" role="rowgroup" ref={scroller} tabIndex={0} aria-activedescendant={index >= 0 ? `function-${index}` : undefined} />
				</div>
				<div class="sandwich">
					{both && chosen ? (
						<>
							<h3 class="cut">Called from</h3>
							<SmallIcicle key="up" profile={profile} state={state} tree={both.callers} label={`Callers of ${labels(profile)(chosen.func)}`} flip choose={jump} />
							<h3 class="cut mono sandwich-name">{labels(profile)(chosen.func)}</h3>
							<SmallIcicle key="down" profile={profile} state={state} tree={both.callees} label={`Calls of ${labels(profile)(chosen.func)}`} flip={false} choose={jump} />
						</>
					) : (
						<p class="muted empty">Choose a row to see its callers and what it calls.</p>
					)}
				</div>
			</div>
		</section>
	);
}
