// SPDX-License-Identifier: GPL-2.0-or-later
// Sound and microphone in the toolbar: two buttons that say their state, and the volume.

const $ = (id) => document.getElementById(id);

const soundTitles = {
	off: 'Sound of the desktop: off',
	waiting: 'Sound of the desktop: begins with the next click or key',
	on: 'Sound of the desktop: on',
	unavailable: 'No sound: this browser has no WebCodecs for it, or the page did not come by https',
};

const microphoneTitles = {
	off: 'Speak into the desktop: off',
	asking: 'Speak into the desktop: the browser asks you',
	on: 'Speak into the desktop: on. Everybody in it may hear you',
	refused: 'Speak into the desktop: the browser gave no microphone',
	unavailable: 'No microphone in this browser, or the page did not come by https',
};

function show(button, state, titles, pressed) {
	button.dataset.state = state;
	button.setAttribute('aria-pressed', String(pressed));
	button.disabled = state === 'unavailable';
	button.title = titles[state];
	button.setAttribute('aria-label', titles[state]);
}

export class SoundControls {
	#sound;
	#microphone;
	#hasSound = true;

	/**
	 * @param settings with get(key) and set(key, value)
	 * @param notice shows a text for a moment
	 */
	constructor(sound, microphone, settings, notice) {
		this.#sound = sound;
		this.#microphone = microphone;
		sound.onState = () => this.#showSound();
		microphone.onState = (state) => {
			show($('microphone'), state, microphoneTitles, state === 'on' || state === 'asking');
			if (state === 'refused') {
				notice('The browser gave no microphone.');
			}
		};
		$('sound').addEventListener('click', () => {
			const on = sound.state === 'off' || sound.state === 'waiting';
			void (on ? sound.enable() : sound.disable());
			settings.set('sound', on ? 'on' : 'off');
		});
		$('microphone').addEventListener('click', () => {
			const on = microphone.state === 'off' || microphone.state === 'refused';
			void (on ? microphone.enable() : microphone.disable());
		});
		const stored = Number(settings.get('volume') ?? 1);
		$('volume').value = String(stored >= 0 && stored <= 1 ? stored : 1);
		sound.setVolume(Number($('volume').value));
		$('volume').addEventListener('input', () => {
			sound.setVolume(Number($('volume').value));
			settings.set('volume', $('volume').value);
		});
		for (const type of ['pointerup', 'keydown']) {
			document.addEventListener(type, (event) => {
				if (!$('sound').contains(event.target)) {
					sound.noteGesture(); // the button itself knows what to do
				}
			}, true);
		}
		this.#showSound();
		microphone.onState(microphone.state);
		if (settings.get('sound') !== 'off') {
			void sound.enable();
		}
	}

	#showSound() {
		const { state } = this.#sound;
		show($('sound'), state, soundTitles, state === 'on' || state === 'waiting');
		$('volume').hidden = state !== 'on';
		if (state !== 'unavailable' && !this.#hasSound) {
			$('sound').title += '. The desktop has none at present';
		}
	}

	/** Whether the desktop has sound, as it said when this connection began. */
	setSound(hasSound) {
		this.#hasSound = hasSound;
		this.#showSound();
	}

	/** Who only looks has no microphone. */
	setMayControl(mayControl) {
		if (!mayControl) {
			this.#microphone.disable();
		}
	}
}
