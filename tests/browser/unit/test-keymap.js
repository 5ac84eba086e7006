// SPDX-License-Identifier: GPL-2.0-or-later
import assert from 'node:assert/strict';
import test from 'node:test';

import { evdevOf, keysymOf } from '../../../web/js/keymap.js';

// W3C "UI Events KeyboardEvent code Values": all but the Fn keys, which keyboards keep to
// themselves, and NumpadHash, NumpadStar and the calculator's memory keys, which evdev lacks.
const standard = `
	Backquote Backslash BracketLeft BracketRight Comma Digit0 Digit1 Digit2 Digit3 Digit4 Digit5
	Digit6 Digit7 Digit8 Digit9 Equal IntlBackslash IntlRo IntlYen KeyA KeyB KeyC KeyD KeyE KeyF
	KeyG KeyH KeyI KeyJ KeyK KeyL KeyM KeyN KeyO KeyP KeyQ KeyR KeyS KeyT KeyU KeyV KeyW KeyX KeyY
	KeyZ Minus Period Quote Semicolon Slash AltLeft AltRight Backspace CapsLock ContextMenu
	ControlLeft ControlRight Enter MetaLeft MetaRight ShiftLeft ShiftRight Space Tab Convert
	KanaMode Lang1 Lang2 Lang3 Lang4 Lang5 NonConvert Delete End Help Home Insert PageDown PageUp
	ArrowDown ArrowLeft ArrowRight ArrowUp NumLock Numpad0 Numpad1 Numpad2 Numpad3 Numpad4 Numpad5
	Numpad6 Numpad7 Numpad8 Numpad9 NumpadAdd NumpadComma NumpadDecimal NumpadDivide NumpadEnter
	NumpadEqual NumpadMultiply NumpadParenLeft NumpadParenRight NumpadSubtract Escape F1 F2 F3 F4 F5
	F6 F7 F8 F9 F10 F11 F12 F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24 PrintScreen ScrollLock
	Pause BrowserBack BrowserFavorites BrowserForward BrowserHome BrowserRefresh BrowserSearch
	BrowserStop Eject LaunchApp1 LaunchApp2 LaunchMail MediaPlayPause MediaSelect MediaStop
	MediaTrackNext MediaTrackPrevious Power Sleep AudioVolumeDown AudioVolumeMute AudioVolumeUp
	WakeUp Again Copy Cut Find Open Paste Props Undo`.trim().split(/\s+/);

test('every standard key has an evdev code, and no two have the same', () => {
	const seen = new Map();
	for (const code of standard) {
		const evdev = evdevOf(code);
		assert.ok(evdev > 0 && evdev < 0x300, `${code}: ${evdev}`);
		assert.ok(!seen.has(evdev), `${code} and ${seen.get(evdev)} are both ${evdev}`);
		seen.set(evdev, code);
	}
	assert.equal(evdevOf('Fn'), undefined);
	assert.equal(evdevOf(''), undefined);
});

test('codes of linux/input-event-codes.h', () => {
	const known = {
		Escape: 1, Digit1: 2, Digit0: 11, Equal: 13, Backspace: 14, Tab: 15, KeyP: 25, Enter: 28,
		ControlLeft: 29, KeyA: 30, KeyL: 38, Backquote: 41, ShiftLeft: 42, Backslash: 43, KeyZ: 44,
		Slash: 53, ShiftRight: 54, NumpadMultiply: 55, AltLeft: 56, Space: 57, CapsLock: 58, F1: 59,
		F10: 68, NumLock: 69, ScrollLock: 70, Numpad7: 71, NumpadSubtract: 74, NumpadAdd: 78,
		Numpad0: 82, NumpadDecimal: 83, Lang5: 85, IntlBackslash: 86, F11: 87, F12: 88, IntlRo: 89,
		Lang3: 90, Lang4: 91, Convert: 92, KanaMode: 93, NonConvert: 94, NumpadEnter: 96,
		ControlRight: 97, NumpadDivide: 98, PrintScreen: 99, AltRight: 100, Home: 102, ArrowUp: 103,
		PageUp: 104, ArrowLeft: 105, ArrowRight: 106, End: 107, ArrowDown: 108, PageDown: 109,
		Insert: 110, Delete: 111, AudioVolumeMute: 113, AudioVolumeUp: 115, NumpadEqual: 117,
		Pause: 119, NumpadComma: 121, Lang1: 122, Lang2: 123, IntlYen: 124, MetaLeft: 125,
		MetaRight: 126, ContextMenu: 127, F13: 183, F24: 194,
	};
	for (const [code, evdev] of Object.entries(known)) {
		assert.equal(evdevOf(code), evdev, code);
	}
});

test('keysyms of characters and named keys', () => {
	assert.equal(keysymOf('a'), 0x61);
	assert.equal(keysymOf('ÿ'), 0xff);
	assert.equal(keysymOf('Ā'), 0x01000100);
	assert.equal(keysymOf('€'), 0x010020ac);
	assert.equal(keysymOf('🙂'), 0x0101f642);
	assert.equal(keysymOf('\n'), 0xff0d);
	assert.equal(keysymOf('Enter'), 0xff0d);
	assert.equal(keysymOf('F12'), 0xffc9);
	assert.equal(keysymOf('Dead'), 0);
	assert.equal(keysymOf(''), 0);
	assert.equal(keysymOf('\u0007'), 0);
	assert.equal(keysymOf('\u0080'), 0);
	assert.equal(keysymOf('\ud800'), 0);
});
