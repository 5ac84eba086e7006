// SPDX-License-Identifier: GPL-2.0-or-later
// What the list of a gateway's desktops means to people. Pure.

const states = {
	online: { tone: 'good', text: 'Running' },
	reconnecting: { tone: 'wait', text: 'Reconnecting' },
	unknown: { tone: 'wait', text: 'Checking' },
	offline: { tone: 'bad', text: 'Not reachable' },
};

/** One desktop of /api/v1/desktops: its tone and a short text. */
export function describeDesktop(desktop) {
	const { tone, text } = states[desktop.state] ?? states.unknown;
	const watching = desktop.viewers > 0 ? ` · ${desktop.viewers} watching` : '';
	return { tone, text: text + watching };
}

/** A line about all of them. */
export function summarize(desktops) {
	const running = desktops.filter((d) => d.state === 'online').length;
	const total = desktops.length === 1 ? '1 desktop' : `${desktops.length} desktops`;
	return `${total}, ${running} running`;
}

const collator = new Intl.Collator(undefined, { numeric: true });

/** By name, desktop-2 before desktop-10. */
export function sorted(desktops) {
	return [...desktops].sort((a, b) => collator.compare(a.id, b.id));
}
