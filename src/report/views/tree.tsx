// SPDX-License-Identifier: BSD-3-Clause
// The call tree: a virtual list of rows with sticky ancestors. Rows are filled by hand rather than by
// the framework: while scrolling, forty rows must change within one frame.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type ViewTree, type Profile, label, location, matches, path } from '../model/index';
import { RowMenu, type Target } from '../ui/actions';
import { foundOf, treeOf } from '../ui/derived';
import { heat, percent, plural, time } from '../ui/format';
import { type Sort, type State, type ViewProps, lend } from '../ui/state';
import { VirtualList } from './list';
import { type Listed, OpenRows, findRow } from './rows';

const STICKY = 3;
const INDENT = 16;
const INDENT_DEEP = 6;
const DEEP = 24;

interface Parts {
	bar: HTMLElement;
	total: HTMLElement;
	self: HTMLElement;
	indent: HTMLElement;
	toggle: HTMLElement;
	name: HTMLElement;
	where: HTMLElement;
	index: number;
}

/** Everything of the tree that is not the framework's business. */
class TreeBody {
	tree!: ViewTree;
	rows!: OpenRows;
	listed!: Listed;
	active = 0; // index in the list
	private readonly list: VirtualList;
	private readonly sticky: HTMLElement;
	private readonly stickyRows: HTMLElement[] = [];
	private readonly parts = new WeakMap<HTMLElement, Parts>();
	private hits: Uint8Array | null = null;
	private stuck = 0;
	state!: State;

	constructor(
		private readonly profile: Profile,
		private readonly scroller: HTMLElement,
		private readonly chosen: (index: number) => void,
	) {
		this.sticky = document.createElement('div');
		this.sticky.className = 'sticky';
		this.sticky.setAttribute('aria-hidden', 'true');
		scroller.appendChild(this.sticky);
		for (let at = 0; at < STICKY; at++) {
			const row = this.create();
			row.hidden = true;
			row.removeAttribute('role');
			this.stickyRows.push(row);
			this.sticky.appendChild(row);
		}
		this.list = new VirtualList(scroller, {
			create: () => this.create(),
			fill: (element, index) => this.fill(element, index, false),
			drawn: (first) => this.stick(first),
		});
	}

	close(): void {
		this.list.close();
		this.sticky.remove();
	}

	/** Takes the state over; returns whether the tree is another one. */
	show(tree: ViewTree, state: State, kept: { rows: OpenRows | null; top: number }): void {
		const found = foundOf(this.profile, state.search);
		this.hits = found?.funcs ?? null;
		const relisted = tree !== this.tree || state.sort !== this.state?.sort;
		this.state = state;
		if (tree !== this.tree) {
			const older = this.rows ?? kept.rows;
			this.tree = tree;
			if (older && older.tree === tree) this.rows = older;
			else {
				this.rows = new OpenRows(this.profile, tree);
				if (!older || !this.rows.openLike(older)) this.rows.openFirst();
			}
			kept.rows = this.rows;
		}
		if (relisted) this.relist();
		else this.list.refresh();
	}

	relist(): void {
		const row = this.listed ? this.listed.row[this.active] : -1;
		this.listed = this.rows.list(this.state.sort);
		if (row >= 0 && row < this.tree.n && this.listed.at[row] >= 0) this.active = this.listed.at[row];
		this.active = Math.max(0, Math.min(this.active, this.listed.n - 1));
		this.list.reset(this.listed.n);
	}

	rowAt(index: number): number {
		return index >= 0 && index < this.listed.n ? this.listed.row[index] : -1;
	}

	/** Makes `index` the active row; `focus` moves the keyboard there too. */
	activate(index: number, focus: boolean): void {
		if (!this.listed.n) return;
		this.active = Math.max(0, Math.min(index, this.listed.n - 1));
		this.list.reveal(this.active, this.coveredAt(this.active));
		this.list.refresh();
		if (focus) (this.list.elementOf(this.active) ?? this.scroller).focus({ preventScroll: true });
	}

	private coveredAt(index: number): number {
		return Math.min(STICKY, this.listed.depth[index]);
	}

	get page(): number {
		return this.list.page;
	}
	get hasFocus(): boolean {
		return this.scroller.contains(document.activeElement);
	}
	elementOf(index: number): HTMLElement | null {
		return this.list.elementOf(index);
	}
	indexOf(element: Element | null): number {
		const row = element?.closest<HTMLElement>('.r');
		const parts = row && this.parts.get(row);
		return parts ? parts.index : -1;
	}

	toggle(index: number, below: boolean): void {
		const row = this.rowAt(index);
		if (row < 0) {
			const group = ~this.listed.row[index];
			const { rows, tree } = this;
			const open = !rows.openGroups.has(group);
			if (below) rows.openBelow(tree.groups[group].root, open);
			if (open) rows.openGroups.add(group);
			else rows.openGroups.delete(group);
			if (below) rows.open[tree.groups[group].root] = 1;
		} else {
			const open = !this.rows.open[row];
			if (below) this.rows.openBelow(row, open);
			else this.rows.open[row] = open ? 1 : 0;
		}
		this.relist();
	}

	private create(): HTMLElement {
		const make = (tag: string, name: string, inside: HTMLElement) => {
			const element = document.createElement(tag);
			element.className = name;
			inside.appendChild(element);
			return element;
		};
		const row = document.createElement('div');
		row.className = 'r';
		row.setAttribute('role', 'treeitem');
		const bar = make('i', '', make('span', 'b', row));
		const total = make('span', 'num', row);
		const self = make('span', 'num', row);
		const cell = make('span', 'c', row);
		const indent = make('span', 'g', cell);
		const toggle = make('span', 'x', cell);
		const name = make('span', 'n', cell);
		const where = make('span', 'w', cell);
		const more = make('span', 'm', cell);
		more.textContent = '⋯';
		more.title = 'Actions (context-menu key)';
		this.parts.set(row, { bar, total, self, indent, toggle, name, where, index: -1 });
		return row;
	}

	private fill(element: HTMLElement, index: number, sticky: boolean): void {
		const { tree, listed, rows, profile } = this;
		const { unit } = this.state;
		const parts = this.parts.get(element)!;
		const row = listed.row[index];
		const depth = listed.depth[index];
		parts.index = index;
		const shift = Math.min(depth, DEEP) * INDENT + Math.min(Math.max(depth - DEEP, 0), 60) * INDENT_DEEP;
		parts.indent.style.width = `${Math.min(shift, (this.list?.width ?? 0) * 0.4)}px`;
		const selected = index === this.active;
		if (!sticky) {
			element.tabIndex = selected ? 0 : -1;
			element.setAttribute('aria-level', String(depth + 1));
			element.setAttribute('aria-setsize', String(listed.size[index]));
			element.setAttribute('aria-posinset', String(listed.place[index]));
			element.setAttribute('aria-selected', String(selected));
		}
		if (row < 0) {
			const group = tree.groups[~row];
			const open = rows.openGroups.has(~row);
			element.className = `r grp${selected ? ' sel' : ''}`;
			parts.bar.style.width = '0';
			parts.total.textContent = parts.self.textContent = parts.where.textContent = '';
			parts.toggle.textContent = open ? '▾' : '▸';
			const which = group.libraries.slice(0, 3).join(', ') + (group.libraries.length > 3 ? ', …' : '');
			parts.name.textContent = `${plural(group.frames - 1, 'frame')} ${open ? 'shown' : 'hidden'}${which ? ` (${which})` : ''}`;
			element.title = open ? 'Hide these frames again' : 'Show the frames of this group; Alt: with everything below';
			element.setAttribute('aria-expanded', String(open));
			element.setAttribute('aria-label', parts.name.textContent);
			return;
		}
		const func = tree.func[row];
		const total = tree.total[row];
		const above = tree.parent[row];
		const share = tree.totalTime > 0 ? total / tree.totalTime : 0;
		const kind = func < 0 ? 7 : profile.funcs.kind[func];
		const app = func >= 0 && kind !== 7 && (profile.funcs.flags[func] & 1) !== 0;
		const warmth = heat(share);
		element.className = `r${selected ? ' sel' : ''}${app ? ' app' : ''}${func >= 0 && this.hits?.[func] ? ' hit' : ''}`;
		parts.bar.style.width = `${Math.min(100, share * 100)}%`;
		parts.bar.style.background = `var(--${warmth})`;
		parts.total.className = `num ${warmth}`;
		const count = tree.count[row];
		const whole = above >= 0 ? tree.total[above] : total;
		parts.total.textContent = time(profile, unit, total, count, tree.totalTime, whole);
		const self = tree.self[row];
		const selfCount = total > 0 ? (count * self) / total : 0;
		parts.self.className = self > 0 ? 'num' : 'num muted';
		parts.self.textContent = self > 0 ? time(profile, unit, self, Math.max(selfCount, 0.5), tree.totalTime, total) : '·';
		const leaf = !rows.hasChildren(row);
		const open = rows.open[row] === 1;
		parts.toggle.textContent = leaf ? '' : open ? '▾' : '▸';
		if (!sticky) {
			if (leaf) element.removeAttribute('aria-expanded');
			else element.setAttribute('aria-expanded', String(open));
		}
		const name = func < 0 ? 'all threads' : label(profile, func) || '(no name)';
		const where = func < 0 ? '' : location(profile, func, tree.line[row]);
		parts.name.textContent = name;
		parts.where.textContent = kind === 7 ? '' : where;
		const samples = plural(count, 'sample');
		const doubt = count < 5 ? `~ an estimate: it stands on ${samples}` : samples;
		element.title = `${name}\n${func < 0 || kind === 7 ? '' : `${path(profile, func)}\n`}${percent(share)} of the total, ${doubt}`;
		const spoken = unit === 's' ? ' seconds' : '';
		element.setAttribute('aria-label', `${name}, ${parts.total.textContent}${spoken}, ${percent(share)}${where ? `, ${where}` : ''}`);
	}

	/** Up to three ancestors of the row at the top edge stay in sight. */
	private stick(first: number): void {
		if (!this.listed?.n) {
			for (const row of this.stickyRows) row.hidden = true;
			return;
		}
		const { parent, depth } = this.listed;
		const chain: number[] = [];
		// As many rows as stick cover the list below, so the row that counts is the first not covered.
		let count = Math.min(STICKY, depth[first]);
		for (; count >= 0; count--) {
			const seen = Math.min(first + count, this.listed.n - 1);
			chain.length = 0;
			for (let above = parent[seen]; above >= 0 && chain.length < STICKY; above = parent[above]) if (above < first + count) chain.unshift(above);
			if (chain.length >= count) break;
		}
		if (!this.list || (first === 0 && this.list.offset < 1)) chain.length = 0;
		const shown = chain.slice(-Math.max(count, 0));
		if (count <= 0) shown.length = 0;
		this.stuck = shown.length;
		for (let at = 0; at < STICKY; at++) {
			const row = this.stickyRows[at];
			row.hidden = at >= this.stuck;
			if (row.hidden) continue;
			this.fill(row, shown[at], true);
			row.style.transform = `translateY(${at * this.list.rowHeight}px)`;
			if (at === this.stuck - 1) row.className += ' last';
			row.tabIndex = -1;
		}
		this.rove();
	}

	/** The one Tab stop: the active row, or the list itself while that row is out of sight. */
	private rove(): void {
		const shown = this.list?.elementOf(this.active);
		this.scroller.tabIndex = shown && !shown.hidden ? -1 : 0;
		if (!shown && document.activeElement !== this.scroller && this.scroller.contains(document.activeElement)) {
			this.scroller.focus({ preventScroll: true });
		}
	}

	choose(index: number, focus = true): void {
		this.activate(index, focus);
		this.chosen(this.active);
	}
}

const COLUMNS: { sort: Sort; title: string; hint: string }[] = [
	{ sort: 'total', title: 'total', hint: 'Time in the function and in what it calls' },
	{ sort: 'self', title: 'self', hint: 'Time in the function itself' },
	{ sort: 'name', title: 'function', hint: 'Sort by name' },
	{ sort: 'first', title: 'first seen', hint: 'Sort by when it was first seen' },
];

// What stays when another view was looked at in between.
const kept: { rows: OpenRows | null; top: number } = { rows: null, top: 0 };

export function TreeView({ profile, state, set }: ViewProps) {
	const scroller = useRef<HTMLDivElement>(null);
	const body = useRef<TreeBody | null>(null);
	const latest = useRef(state);
	const [menu, setMenu] = useState<{ target: Target; left: number; top: number; bottom: number } | null>(null);
	latest.current = state;
	const tree = treeOf(profile, state.scope, state.filters);

	const choose = (index: number) => {
		const own = body.current!;
		const row = own.rowAt(index);
		if (row >= 0) set({ selection: { func: own.tree.func[row], node: own.tree.node[row], row } });
	};

	useLayoutEffect(() => {
		const own = new TreeBody(profile, scroller.current!, choose);
		body.current = own;
		const done = lend({
			keys: onKey,
			step,
			focus: () => own.activate(own.active, true),
		});
		return () => {
			kept.top = scroller.current?.scrollTop ?? 0;
			done();
			own.close();
			body.current = null;
		};
	}, []);

	useLayoutEffect(() => {
		const own = body.current!;
		const fresh = own.tree === undefined;
		const focused = own.hasFocus;
		own.show(tree, state, kept);
		if (fresh && kept.top > 0) scroller.current!.scrollTop = kept.top;
		const chosen = state.selection;
		if (chosen && own.listed.n) {
			const now = own.rowAt(own.active);
			const same = now >= 0 && own.tree.func[now] === chosen.func && (chosen.node < 0 || own.tree.node[now] === chosen.node);
			if (!same || fresh) {
				const row = findRow(profile, tree, chosen);
				if (row >= 0) reveal(row, false);
			}
		}
		// The elements were given other rows: the keyboard stays with the active one.
		if (focused && own.listed.n) own.elementOf(own.active)?.focus({ preventScroll: true });
	});

	function reveal(row: number, focus: boolean): void {
		const own = body.current!;
		if (own.listed.at[row] < 0) {
			own.rows.showRow(row);
			own.relist();
		}
		if (own.listed.at[row] >= 0) own.activate(own.listed.at[row], focus);
	}

	/** Next or previous match in the order of the tree, closed rows included. */
	function step(direction: 1 | -1): boolean {
		const own = body.current!;
		const found = foundOf(profile, latest.current.search);
		if (!found || !own.tree.n) return false;
		const rows = matches(own.tree, found).rows;
		if (!rows.length) return false;
		const order = positions(own.tree);
		const now = order[Math.max(0, own.rowAt(own.active))];
		const sorted = Array.from(rows).sort((a, b) => order[a] - order[b]);
		let target = direction > 0 ? sorted.find((row) => order[row] > now) : sorted.reverse().find((row) => order[row] < now);
		target ??= sorted[0];
		const typing = document.activeElement instanceof HTMLInputElement;
		reveal(target, !typing);
		choose(own.active);
		return true;
	}

	function onKey(event: KeyboardEvent): boolean {
		const own = body.current!;
		if (!own.listed.n || event.ctrlKey || event.metaKey) return false;
		const { active, listed } = own;
		const row = own.rowAt(active);
		const group = row < 0;
		const closed = group ? !own.rows.openGroups.has(~listed.row[active]) : !own.rows.open[row];
		const inside = row >= 0 && own.rows.hasChildren(row);
		switch (event.key) {
			case 'ArrowDown':
				own.choose(active + 1);
				return true;
			case 'ArrowUp':
				own.choose(active - 1);
				return true;
			case 'PageDown':
				own.choose(active + own.page);
				return true;
			case 'PageUp':
				own.choose(active - own.page);
				return true;
			case 'Home':
				own.choose(0);
				return true;
			case 'End':
				own.choose(listed.n - 1);
				return true;
			case 'ArrowRight':
				if (event.altKey) {
					if (row >= 0) own.rows.openBelow(row, true);
					own.relist();
					own.activate(own.active, true);
				} else if ((group || inside) && closed) {
					own.toggle(active, false);
					own.activate(own.active, true);
				} else if (inside) own.choose(active + 1);
				return true;
			case 'ArrowLeft':
				if (event.altKey) {
					if (row >= 0) own.rows.openBelow(row, false);
					own.relist();
					own.activate(own.active, true);
				} else if (!closed && (group || inside)) {
					own.toggle(active, false);
					own.activate(own.active, true);
				} else if (listed.parent[active] >= 0) own.choose(listed.parent[active]);
				return true;
			case ' ':
				own.toggle(active, event.altKey);
				own.activate(own.active, true);
				return true;
			case 'Enter':
				if (group) {
					own.toggle(active, event.altKey);
					own.activate(own.active, true);
					return true;
				}
				if (own.tree.node[row] >= 0 && latest.current.selection) {
					set({ filters: { ...latest.current.filters, focusNode: own.tree.node[row] } });
					return true;
				}
				return false;
			case 'ContextMenu':
			case 'F10': {
				if (row < 0 || (event.key === 'F10' && !event.shiftKey)) return false;
				const box = own.elementOf(active)?.getBoundingClientRect();
				openMenu(row, box ? { left: box.left + 200, top: box.top, bottom: box.bottom } : { left: 100, top: 100, bottom: 100 });
				return true;
			}
		}
		return false;
	}

	function openMenu(row: number, at: { left: number; top: number; bottom: number }): void {
		const own = body.current!;
		if (own.tree.func[row] < 0) return;
		setMenu({ target: { func: own.tree.func[row], node: own.tree.node[row], line: own.tree.line[row] }, ...at });
	}

	const onClick = (event: MouseEvent) => {
		const own = body.current!;
		const target = event.target as HTMLElement;
		const index = own.indexOf(target);
		if (index < 0) return;
		const group = own.rowAt(index) < 0;
		if (target.closest('.sticky')) {
			own.choose(index);
			return;
		}
		if (target.closest('.m') && !group) {
			own.choose(index);
			const box = target.getBoundingClientRect();
			openMenu(own.rowAt(index), box);
			return;
		}
		if (group || target.closest('.x')) {
			own.active = index;
			own.toggle(index, event.altKey);
			own.choose(own.active);
			return;
		}
		own.choose(index);
	};

	const onDouble = (event: MouseEvent) => {
		const own = body.current!;
		const target = event.target as HTMLElement;
		const index = own.indexOf(target);
		if (index < 0 || own.rowAt(index) < 0 || target.closest('.x, .m, .sticky') || !own.rows.hasChildren(own.rowAt(index))) return;
		own.toggle(index, event.altKey);
		own.activate(own.active, true);
	};

	const onContext = (event: MouseEvent) => {
		const own = body.current!;
		const index = own.indexOf(event.target as HTMLElement);
		const row = own.rowAt(index);
		if (row < 0 || event.shiftKey) return; // Shift gives the browser's own menu
		event.preventDefault();
		own.choose(index);
		openMenu(row, { left: event.clientX, top: event.clientY, bottom: event.clientY });
	};

	const all = (open: boolean) => {
		const own = body.current!;
		own.rows.openAll(open);
		own.relist();
		own.activate(own.active, false);
	};

	return (
		<div class="tree">
			<div class="head">
				<span />
				{COLUMNS.slice(0, 2).map((column) => (
					<span class="num" key={column.sort}>
						<button class="plain" title={column.hint} aria-pressed={state.sort === column.sort} onClick={() => set({ sort: column.sort })}>
							{column.title}
						</button>
					</span>
				))}
				<span class="top-row">
					{COLUMNS.slice(2).map((column) => (
						<button class="plain" key={column.sort} title={column.hint} aria-pressed={state.sort === column.sort} onClick={() => set({ sort: column.sort })}>
							{column.title}
						</button>
					))}
					<span class="tools">
						<button class="plain" onClick={() => all(true)}>
							Expand all
						</button>
						<button class="plain" onClick={() => all(false)}>
							Collapse all
						</button>
					</span>
				</span>
			</div>
			<div
				class="rows"
				ref={scroller}
				role="tree"
				aria-label="Call tree"
				onClick={onClick}
				onDblClick={onDouble}
				onContextMenu={onContext}
			/>
			{menu && <RowMenu profile={profile} state={state} set={set} target={menu.target} at={menu} close={() => { setMenu(null); body.current?.activate(body.current.active, true); }} />}
		</div>
	);
}

/** Place of each row when all are open. */
const orders = new WeakMap<ViewTree, Int32Array>();
function positions(tree: ViewTree): Int32Array {
	let order = orders.get(tree);
	if (order) return order;
	order = new Int32Array(tree.n);
	let place = 0;
	let row = tree.n ? 0 : -1;
	while (row >= 0) {
		order[row] = place++;
		if (tree.first[row] >= 0) {
			row = tree.first[row];
			continue;
		}
		while (row >= 0 && tree.next[row] < 0) row = tree.parent[row];
		if (row >= 0) row = tree.next[row];
	}
	orders.set(tree, order);
	return order;
}
