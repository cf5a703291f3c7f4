// The keys of a PC keyboard: their names in QEMU (QKeyCode, qapi/ui.json), in browsers (KeyboardEvent.code, W3C UI Events code values),
// and their scan codes. IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101/102-key)", scan code sets 1, 2 and 3; Microsoft,
// "Keyboard Scan Code Specification", for the keys of later keyboards.

export interface Key {
  /** QKeyCode. */
  name: string;
  /** KeyboardEvent.code; empty where browsers have none. */
  code: string;
  /** Scan code of set 2; with E0h in front: 0xe0nn. 0: a sequence of its own (Pause, Print). */
  set2: number;
  /** Scan code of set 3, 0 for none. */
  set3: number;
}

/** name, KeyboardEvent.code, set 2, set 3 (hexadecimal; without it, that of set 2). */
const TABLE = `
esc Escape 76 08|1 Digit1 16|2 Digit2 1e|3 Digit3 26|4 Digit4 25|5 Digit5 2e|6 Digit6 36|7 Digit7 3d|8 Digit8 3e|9 Digit9 46|0 Digit0 45
minus Minus 4e|equal Equal 55|backspace Backspace 66|tab Tab 0d|q KeyQ 15|w KeyW 1d|e KeyE 24|r KeyR 2d|t KeyT 2c|y KeyY 35|u KeyU 3c|i KeyI 43
o KeyO 44|p KeyP 4d|bracket_left BracketLeft 54|bracket_right BracketRight 5b|ret Enter 5a|ctrl ControlLeft 14 11|a KeyA 1c|s KeyS 1b|d KeyD 23
f KeyF 2b|g KeyG 34|h KeyH 33|j KeyJ 3b|k KeyK 42|l KeyL 4b|semicolon Semicolon 4c|apostrophe Quote 52|grave_accent Backquote 0e|shift ShiftLeft 12
backslash Backslash 5d 5c|z KeyZ 1a|x KeyX 22|c KeyC 21|v KeyV 2a|b KeyB 32|n KeyN 31|m KeyM 3a|comma Comma 41|dot Period 49|slash Slash 4a
shift_r ShiftRight 59|kp_multiply NumpadMultiply 7c 7e|alt AltLeft 11 19|spc Space 29|caps_lock CapsLock 58 14|f1 F1 05 07|f2 F2 06 0f|f3 F3 04 17
f4 F4 0c 1f|f5 F5 03 27|f6 F6 0b 2f|f7 F7 83 37|f8 F8 0a 3f|f9 F9 01 47|f10 F10 09 4f|num_lock NumLock 77 76|scroll_lock ScrollLock 7e 5f
kp_7 Numpad7 6c|kp_8 Numpad8 75|kp_9 Numpad9 7d|kp_subtract NumpadSubtract 7b 84|kp_4 Numpad4 6b|kp_5 Numpad5 73|kp_6 Numpad6 74|kp_add NumpadAdd 79 7c
kp_1 Numpad1 69|kp_2 Numpad2 72|kp_3 Numpad3 7a|kp_0 Numpad0 70|kp_decimal NumpadDecimal 71|less IntlBackslash 61 13|f11 F11 78 56|f12 F12 07 5e
kp_enter NumpadEnter e05a 79|ctrl_r ControlRight e014 58|kp_divide NumpadDivide e04a 4a|print PrintScreen 0 57|sysrq - 0 57|alt_r AltRight e011 39
pause Pause 0 62|home Home e06c 6e|up ArrowUp e075 63|pgup PageUp e07d 6f|left ArrowLeft e06b 61|right ArrowRight e074 6a|end End e069 65
down ArrowDown e072 60|pgdn PageDown e07a 6d|insert Insert e070 67|delete Delete e071 64|meta_l MetaLeft e01f 8b|meta_r MetaRight e027 8c
compose ContextMenu e02f 8d|kp_equals NumpadEqual 0f 0|kp_comma NumpadComma 6d 7b|ro IntlRo 51|yen IntlYen 6a 5d|henkan Convert 64 86
muhenkan NonConvert 67 85|katakanahiragana KanaMode 13 87|hiragana - 62 0|lang1 Lang1 f2 0|lang2 Lang2 f1 0|f13 F13 08 7f|f14 F14 10 80|f15 F15 18 81|f16 F16 20 82
f17 F17 28 83|f18 F18 30 0|f19 F19 38 0|f20 F20 40 0|f21 F21 48 0|f22 F22 50 0|f23 F23 57 0|f24 F24 5f 0|power Power e037 0|sleep Sleep e03f 0
wake WakeUp e05e 0|audionext MediaTrackNext e04d 0|audioprev MediaTrackPrevious e015 0|audiostop MediaStop e03b 0|audioplay MediaPlayPause e034 0
audiomute AudioVolumeMute e023 0|volumeup AudioVolumeUp e032 0|volumedown AudioVolumeDown e021 0|mail LaunchMail e048 0|calculator LaunchApp2 e02b 0
computer LaunchApp1 e040 0|ac_home BrowserHome e03a 0|ac_bookmarks BrowserFavorites e018 0|ac_back BrowserBack e038 0|ac_forward BrowserForward e030 0
ac_refresh BrowserRefresh e020 0|menu - e01c 0|asterisk - 7c 7e`;

export const KEYS: readonly Key[] = TABLE.trim().split(/[|\n]/).map((row) => {
  const [name, code, set2, set3] = row.split(' ');
  return { name, code: code === '-' ? '' : code, set2: parseInt(set2, 16), set3: parseInt(set3 ?? set2, 16) };
});

const BY_NAME = new Map(KEYS.map((key, index) => [key.name, index]));
const BY_CODE = new Map(KEYS.flatMap((key, index): [string, number][] => (key.code ? [[key.code, index]] : [])));
// Browsers of before 2017 call them so.
for (const [old, code] of [['OSLeft', 'MetaLeft'], ['OSRight', 'MetaRight'], ['VolumeMute', 'AudioVolumeMute'], ['VolumeUp', 'AudioVolumeUp'], ['VolumeDown', 'AudioVolumeDown']]) {
  BY_CODE.set(old, BY_CODE.get(code)!);
}

/** A key's place in KEYS by QEMU's name, which is how the machine's input names it; undefined if there is none. */
export const keyNamed = (name: string): number | undefined => BY_NAME.get(name);
/** The same by KeyboardEvent.code. */
export const keyOfCode = (code: string): number | undefined => BY_CODE.get(code);

/** On a US keyboard (ANSI INCITS 154): what is typed without and with Shift, key after key. */
const US = `grave_accent \`~|1 1!|2 2@|3 3#|4 4$|5 5%|6 6^|7 7&|8 8*|9 9(|0 0)|minus -_|equal =+|bracket_left [{|bracket_right ]}|backslash \\PIPE
semicolon ;:|apostrophe '"|comma ,<|dot .>|slash /?`;
const US_KEYS = new Map<string, { key: number; shift: boolean }>();
for (const row of US.split(/[|\n]/)) {
  const [name, characters] = row.split(' ');
  const [plain, shifted] = characters.replace('PIPE', '|');
  US_KEYS.set(plain, { key: keyNamed(name)!, shift: false });
  US_KEYS.set(shifted, { key: keyNamed(name)!, shift: true });
}
for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
  US_KEYS.set(letter, { key: keyNamed(letter)!, shift: false });
  US_KEYS.set(letter.toUpperCase(), { key: keyNamed(letter)!, shift: true });
}
for (const [character, name] of [[' ', 'spc'], ['\n', 'ret'], ['\t', 'tab'], ['\b', 'backspace'], ['\x1b', 'esc']]) US_KEYS.set(character, { key: keyNamed(name)!, shift: false });

/** The key that types a character on a US keyboard; undefined if none does. */
export const usKey = (character: string): { key: number; shift: boolean } | undefined => US_KEYS.get(character);
