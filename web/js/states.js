// SPDX-License-Identifier: GPL-2.0-or-later
// What each state of the connection is called, and what the user can do about it. Pure.

const endings = {
	superseded: {
		title: 'Opened elsewhere',
		text: 'This desktop was opened again with this page’s identity, so it stopped here.',
		action: 'Use it here',
	},
	broken: {
		title: 'The viewer is out of date',
		text: 'The desktop did not understand it. Reloading the page brings the current one.',
		action: 'Reload',
		reload: true,
	},
	refused: {
		title: 'You may not see this desktop',
		text: 'Sign in, or ask whoever runs it for access.',
		action: 'Try again',
		signIn: true,
	},
	missing: {
		title: 'There is no such desktop',
		text: 'It may have been removed, or not be started yet.',
		action: 'Try again',
	},
	'gave-up': {
		title: 'The desktop cannot be reached',
		text: 'Ten attempts failed, so the page stopped trying.',
		action: 'Try again',
	},
	undecodable: {
		title: 'The picture cannot be decoded',
		text: 'This browser failed to decode the H.264 video again and again.',
		action: 'Try again',
	},
	insecure: {
		title: 'This page needs a secure address',
		text: 'Browsers decode video only on https pages and on localhost. ' +
			'Open it with https, or through a tunnel to localhost.',
	},
	'no-webcodecs': {
		title: 'This browser cannot show it',
		text: 'It lacks WebCodecs. Chromium 94, Safari 16.4 and Firefox 130, or newer, have it.',
	},
	closed: { title: 'Closed', text: 'The connection was closed.', action: 'Connect' },
};

const seconds = (ms) => `${Math.max(Math.ceil(ms / 1000), 0)} s`;

/**
 * Texts for a state of connection.js: title; text; action, the label of a button that starts again;
 * reload, it reloads the page instead; signIn, a link to the list, where one signs in; tone:
 * 'good', 'wait' or 'bad'. `overlay`: it is worth covering the picture for.
 */
export function describe(state, now) {
	switch (state.name) {
	case 'connecting':
		return {
			title: 'Connecting',
			text: state.attempt > 1 ? `Attempt ${state.attempt}` : '',
			tone: 'wait',
			overlay: true,
		};
	case 'waiting':
		return {
			title: 'Connected',
			text: 'Waiting for the first picture',
			tone: 'wait',
			overlay: true,
		};
	case 'live':
		return { title: 'Connected', text: '', tone: 'good', overlay: false };
	case 'stalled':
		return {
			title: 'Nothing comes from the desktop',
			text: 'What you see is old. Waiting for it to answer.',
			tone: 'bad',
			overlay: true,
		};
	case 'no-picture':
		return {
			title: 'No picture',
			text: state.text || 'The desktop shows nothing at present.',
			tone: 'wait',
			overlay: true,
		};
	case 'retrying':
		return {
			title: 'The connection was lost',
			text: `Trying again in ${seconds(state.at - now)}`,
			action: 'Try now',
			tone: 'bad',
			overlay: true,
		};
	case 'hidden':
		return {
			title: 'Paused',
			text: 'Connects when this page is looked at.',
			tone: 'wait',
			overlay: true,
		};
	default:
		return { ...(endings[state.reason] ?? endings.closed), tone: 'bad', overlay: true };
	}
}
