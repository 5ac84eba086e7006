// SPDX-License-Identifier: GPL-2.0-or-later
// The page of one desktop: joins the modules with each other and with the toolbar.

import { locateDesktop, probe } from './api.js';
import { Sound } from './audio.js';
import { Clipboard } from './clipboard.js';
import { Connection } from './connection.js';
import { Cursor } from './cursor.js';
import { whyNoDecoder } from './decoder.js';
import { Keyboard, lockKeyboard, unlockKeyboard } from './keyboard.js';
import { Microphone } from './microphone.js';
import { Outbox } from './outbox.js';
import { Overlay } from './overlay.js';
import { Pointer } from './pointer.js';
import { Presence } from './presence.js';
import { Type } from './protocol.js';
import { Resizer } from './resize.js';
import { describe } from './states.js';
import { SoundControls } from './sound-controls.js';
import { Statistics } from './statistics.js';
import { TouchKeys } from './touch-keys.js';
import { Video } from './video.js';
import { Viewport } from './viewport.js';

const SAMPLE_MS = 500;
const NOTICE_MS = 6000;
const DROP_MAX = 5000; // characters of a dropped text that are typed

const $ = (id) => document.getElementById(id);
const target = locateDesktop(location.href);
const title = target.name || 'Desktop';

// What the user chose last time.
const settings = {
	get: (key) => {
		try {
			return localStorage.getItem(`helix.${key}`);
		} catch {
			return null; // storage is forbidden here
		}
	},
	set: (key, value) => {
		try {
			localStorage.setItem(`helix.${key}`, value);
		} catch {
			// Then it is asked for again next time.
		}
	},
};

const statistics = new Statistics();
// One per page, kept over reconnects.
const clientId = crypto.randomUUID?.() ?? String(Math.random());
const connection = new Connection({
	url: `${target.stream}?client_id=${clientId}`,
	init: {
		session_id: target.name || 'desktop',
		client_unique_id: clientId,
		user_name: settings.get('name') ?? 'Viewer',
		width: Math.round(screen.width * devicePixelRatio),
		height: Math.round(screen.height * devicePixelRatio),
		fps: 60,
		bitrate: Number(new URLSearchParams(location.search).get('bitrate')) || 0,
		video_supported_formats: 1,
		extensions: ['frame-times', 'cursor-position', 'clipboard', 'audio', 'microphone'],
	},
	handlers: {
		state: (state) => showState(state),
		message: (msg) => handleMessage(msg),
		opened: () => {
			outbox.reset();
			presence.reset();
			sound.opened();
			statistics.reconnects += statistics.size.width > 0 ? 1 : 0;
		},
		reset: () => video.reset(),
		probe: () => probe(target.http('health')),
	},
});
const outbox = new Outbox(connection);
const video = new Video($('picture'), connection, statistics);
const sound = new Sound(connection, statistics);
const microphone = new Microphone(connection);
const soundControls = new SoundControls(sound, microphone, settings, notice);
const viewport = new Viewport($('stage'), $('screen'));
const cursor = new Cursor($('screen'), $('cursor'));
const presence = new Presence($('marks'));
const clipboard = new Clipboard(target.http('clipboard'), $('screen'));
const resizer = new Resizer(target.http('resize'), viewport);
const overlay = new Overlay($('statistics'), statistics);
const keyboard = new Keyboard($('screen'), outbox, {
	shortcut: (code) => runShortcut(code),
	beforePaste: () => clipboard.beforePaste(),
	afterCopy: () => clipboard.afterCopy(),
});
const pointer = new Pointer($('screen'), outbox);
const touchKeys = new TouchKeys(keyboard, $('touch-keys'), $('typing'));

// For tests and for the curious.
globalThis.helix = { clipboard, connection, microphone, sound, statistics };

function handleMessage(msg) {
	switch (msg.type) {
	case Type.VIDEO_FRAME:
	case Type.FRAME_TIMES:
		video.handle(msg);
		break;
	case Type.AUDIO_FRAME:
		sound.handle(msg);
		break;
	case Type.STREAM_INIT:
		soundControls.setSound(msg.channels > 0);
		break;
	case Type.PONG:
		statistics.add('rtt', connection.clock.rtt / 1000, performance.now());
		break;
	case Type.CURSOR_IMAGE:
		cursor.handleImage(msg);
		break;
	case Type.CURSOR_NAME:
		cursor.handleName(msg);
		break;
	case Type.CLIPBOARD:
		clipboard.handleState(msg);
		break;
	default:
		presence.handle(msg);
	}
}

/* What is going on. */

let noticeTimer = 0;

function notice(text) {
	clearTimeout(noticeTimer);
	$('notice').textContent = text;
	$('notice').hidden = false;
	noticeTimer = setTimeout(() => {
		$('notice').hidden = true;
	}, NOTICE_MS);
}

let stateTimer = 0;

function showState(state) {
	const shown = describe(state, performance.now());
	clearTimeout(stateTimer);
	if (state.name === 'retrying') {
		stateTimer = setTimeout(() => showState(connection.state), 500);
	}
	document.body.dataset.tone = shown.tone;
	document.body.dataset.state = state.reason ?? state.name;
	$('status').textContent = shown.title;
	$('state').hidden = !shown.overlay;
	$('state-title').textContent = shown.title;
	$('state-text').textContent = shown.text;
	$('state-busy').hidden = shown.tone !== 'wait';
	$('state-action').hidden = !shown.action;
	$('state-action').textContent = shown.action ?? '';
	$('state-sign-in').hidden = !shown.signIn;
}

$('state-action').addEventListener('click', () => {
	if (describe(connection.state, 0).reload) {
		location.reload();
	} else {
		connection.start();
		$('screen').focus();
	}
});

/* The picture's place. */

video.onResized = (width, height) => viewport.setPicture(width, height);
video.onUndecodable = () => connection.stop('undecodable');
viewport.onLayout = (scale, pixelRatio) => {
	cursor.setLayout(scale, pixelRatio);
	presence.setLayout(scale);
};
viewport.onRoom = () => resizer.roomChanged();

function setSize(mode) {
	viewport.setMode(mode === 'fit' || mode === 'actual' ? mode : Number(mode));
	settings.set('size', mode);
}

$('size').addEventListener('change', (e) => setSize(e.target.value));

/* Input. */

outbox.onInput = (now) => video.noteInput(now);
pointer.onHover = (hovered) => cursor.setHovered(hovered && !document.pointerLockElement);
presence.onUsers = (names) => {
	$('users').hidden = names.length === 0;
	$('users').textContent = `+${names.length}`;
	$('users').title = `Also here: ${names.join(', ')}`;
};
clipboard.onProblem = notice;
resizer.onRefused = (text) => {
	setFollow(false);
	notice(text);
};

$('screen').addEventListener('dragover', (e) => {
	if (e.dataTransfer.types.includes('text/plain')) {
		e.preventDefault();
		e.dataTransfer.dropEffect = 'copy';
	}
});
$('screen').addEventListener('drop', (e) => {
	e.preventDefault();
	const text = e.dataTransfer.getData('text/plain');
	if (text.length > DROP_MAX) {
		notice('That is too much text to type; use the clipboard.');
	} else {
		keyboard.type(text);
	}
});

document.addEventListener('pointerlockchange', () => {
	const locked = document.pointerLockElement === $('screen');
	$('capture').setAttribute('aria-pressed', String(locked));
	cursor.setHovered(!locked && $('screen').matches(':hover'));
});
$('capture').addEventListener('click', () => $('screen').requestPointerLock());

/* The toolbar. */

function toggleFullScreen() {
	if (document.fullscreenElement) {
		void document.exitFullscreen();
	} else {
		document.documentElement.requestFullscreen({ navigationUI: 'hide' }).catch(() =>
			notice('The browser did not let the page fill the screen.'));
	}
	$('screen').focus();
}

document.addEventListener('fullscreenchange', () => {
	const full = document.fullscreenElement !== null;
	$('full-screen').setAttribute('aria-pressed', String(full));
	void (full ? lockKeyboard() : unlockKeyboard());
});
$('full-screen').addEventListener('click', toggleFullScreen);

function toggleStatistics(visible) {
	overlay.toggle(visible);
	$('show-statistics').setAttribute('aria-pressed', String(overlay.visible));
	settings.set('statistics', overlay.visible ? 'on' : '');
}

$('show-statistics').addEventListener('click', () => toggleStatistics());

$('show-keys').addEventListener('click', () => {
	touchKeys.toggle();
	$('show-keys').setAttribute('aria-pressed', String(touchKeys.visible));
});

function setFollow(follow) {
	resizer.enable(follow);
	$('follow').setAttribute('aria-pressed', String(follow));
	settings.set('follow', follow ? 'on' : '');
}

$('follow').addEventListener('click', () =>
	setFollow($('follow').getAttribute('aria-pressed') !== 'true'));

$('chords').addEventListener('change', (e) => {
	keyboard.chord(e.target.value.split(' '));
	e.target.value = '';
	$('screen').focus();
});

$('show-clipboard').addEventListener('click', async () => {
	$('clipboard').showModal();
	const usable = clipboard.available;
	$('clipboard-send').disabled = !usable;
	$('clipboard-none').hidden = usable;
	const content = usable ? await clipboard.read() : null;
	const image = content?.type === 'image';
	$('clipboard-image').hidden = !image;
	$('clipboard-image').src = image ? `data:image/png;base64,${content.data}` : '';
	$('clipboard-text').value = content?.type === 'text' ? content.data : '';
	$('clipboard-text').select();
});
$('clipboard-send').addEventListener('click', async () => {
	if (await clipboard.write({ type: 'text', data: $('clipboard-text').value })) {
		$('clipboard').close();
	}
});
$('clipboard-type').addEventListener('click', () => {
	$('clipboard').close();
	keyboard.type($('clipboard-text').value);
	$('screen').focus();
});
$('clipboard-close').addEventListener('click', () => $('clipboard').close());

/** Ctrl+Alt+Shift and a key. */
function runShortcut(code) {
	const shortcuts = {
		KeyZ: () => document.querySelector('.bar :is(a, select, button):not([hidden])').focus(),
		KeyX: toggleFullScreen,
		KeyS: () => toggleStatistics(),
	};
	shortcuts[code]?.();
	return code in shortcuts;
}

/* Beginning. */

// Of a gateway; one desktop's own bridge knows no roles.
async function learnRole() {
	const reply = await fetch('api/v1/desktops', { cache: 'no-store' }).catch(() => null);
	const list = reply?.ok ? await reply.json().catch(() => null) : null;
	const mayControl = list?.role !== 'view';
	document.body.classList.toggle('view-only', !mayControl);
	$('view-only').hidden = mayControl;
	outbox.enabled = mayControl;
	clipboard.enable(mayControl);
	soundControls.setMayControl(mayControl);
}

async function begin() {
	document.title = `${title} – Helix Scanout`;
	$('name').textContent = title;
	$('screen').setAttribute('aria-label', `Desktop ${title}. Keys go to it; ` +
		'Control+Alt+Shift+Z goes to the toolbar.');
	$('back').hidden = !target.name;
	const why = whyNoDecoder();
	if (why) {
		connection.stop(why);
		return;
	}
	const size = settings.get('size') ?? 'fit';
	$('size').value = [...$('size').options].some((o) => o.value === size) ? size : 'fit';
	setSize($('size').value);
	toggleStatistics(settings.get('statistics') === 'on');
	setInterval(() => {
		statistics.sample(performance.now());
		overlay.draw();
	}, SAMPLE_MS);
	document.addEventListener('visibilitychange', () => {
		connection.setVideoEnabled(!document.hidden);
		connection.wake();
	});
	window.addEventListener('online', () => connection.online());
	window.addEventListener('pagehide', () => keyboard.releaseAll());
	clipboard.enable(true);
	connection.start();
	$('screen').focus();
	if (target.name) {
		await learnRole();
	}
	setFollow(settings.get('follow') === 'on');
}

void begin();
