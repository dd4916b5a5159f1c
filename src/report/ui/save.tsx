// SPDX-License-Identifier: BSD-3-Clause
// The session, the table or the picture as a file, built in the page: nothing is sent anywhere.
import { type Profile, csv, functions, pyisession, speedscope } from '../model/index';
import { type Item, Items, Menu } from './menu';
import { type State, type ViewProps, activeView } from './state';

function download(content: string | string[] | Blob, name: string, type: string): void {
	const blob = content instanceof Blob ? content : new Blob(typeof content === 'string' ? [content] : content, { type });
	const url = URL.createObjectURL(blob);
	const link = document.createElement('a');
	link.href = url;
	link.download = name;
	document.body.appendChild(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(url), 30000);
}

/** The program's name as a file name. */
function stem(profile: Profile): string {
	const base = profile.meta.program.split(/[/\\]/).pop() ?? '';
	return base.replace(/[^\w.-]+/g, '_').replace(/^[._]+/, '').slice(0, 60) || 'profile';
}

export function SaveMenu({ profile, state, set, print }: ViewProps & { print: () => void }) {
	const items = (): (Item | null)[] => {
		const name = stem(profile);
		const view = activeView();
		const saving = (make: () => void) => () => {
			try {
				make();
			} catch (error) {
				set({ notice: `Could not save: ${error instanceof Error ? error.message : String(error)}` });
			}
		};
		return [
			{ label: 'Session (.pyisession)', run: saving(() => download(pyisession(profile), `${name}.pyisession`, 'application/json')) },
			{ label: 'Session for speedscope', run: saving(() => download(speedscope(profile), `${name}.speedscope.json`, 'application/json')) },
			{ label: 'Functions as CSV', run: saving(() => download(table(profile, state), `${name}.csv`, 'text/csv')) },
			null,
			{ label: 'This picture as SVG', disabled: !view.svg, run: saving(() => download(view.svg!(), `${name}.svg`, 'image/svg+xml')) },
			{
				label: 'This picture as PNG',
				disabled: !view.canvas,
				run: saving(() => view.canvas!().toBlob((blob) => (blob ? download(blob, `${name}.png`, 'image/png') : set({ notice: 'The picture is too large to save' })))),
			},
			null,
			{ label: 'Print', run: print },
		];
	};
	return (
		<Menu label="Save ▾" name="Save">
			{(close) => <Items items={items()} close={close} />}
		</Menu>
	);
}

function table(profile: Profile, state: State): string {
	return csv(profile, functions(profile, state.scope, state.filters, state.grouping));
}
