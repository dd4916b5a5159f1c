// SPDX-License-Identifier: BSD-3-Clause
// Paper: the header and the hot list stay as they are; the tree is listed as text, down to 1 % and at
// most 200 rows, and the link to the place is printed.
import type { Profile, ViewTree } from '../model/index';
import { label, location } from '../model/index';
import { treeOf } from './derived';
import { seconds } from './format';
import type { State } from './state';

const ROWS = 200;
const SHARE = 0.01;

export function printedRows(profile: Profile, tree: ViewTree): { lines: string[]; left: number } {
	const lines: string[] = [];
	let left = 0;
	if (!tree.n) return { lines, left };
	// (row, indent); hidden members of groups pass their place on to their children.
	const stack: [number, number][] = [[0, 0]];
	while (stack.length) {
		const [row, indent] = stack.pop()!;
		if (tree.total[row] < SHARE * tree.totalTime) continue;
		const group = tree.group[row];
		const hidden = group >= 0 && tree.groups[group].root !== row;
		if (!hidden) {
			if (lines.length >= ROWS) {
				left++;
				continue;
			}
			const func = tree.func[row];
			const name = func < 0 ? 'all threads' : label(profile, func);
			const where = func < 0 ? '' : location(profile, func, tree.line[row]);
			lines.push(`${'  '.repeat(Math.min(indent, 30))}${seconds(profile, tree.total[row])} ${name}${where ? `  ${where}` : ''}`);
		}
		const below: [number, number][] = [];
		for (let child = tree.first[row]; child >= 0; child = tree.next[child]) below.push([child, hidden ? indent : indent + 1]);
		while (below.length) stack.push(below.pop()!);
	}
	return { lines, left };
}

export function Paper({ profile, state, link }: { profile: Profile; state: State; link: string }) {
	const { lines, left } = printedRows(profile, treeOf(profile, state.scope, state.filters));
	return (
		<section class="print-only">
			<h2>Call tree, to 1 % of the time</h2>
			<pre class="paper">{lines.join('\n')}</pre>
			{left > 0 && <p>{left} more rows are not printed.</p>}
			<p class="muted">{link}</p>
		</section>
	);
}
