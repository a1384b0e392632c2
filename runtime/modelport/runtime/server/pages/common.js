'use strict';
// What the pages share. Whatever comes from the server is put in as text, never as markup.

// The page's own folder: it may lie behind a prefix, and a slash at its end is passed over.
const BASE = location.origin + location.pathname.replace(/[^/]*\/*$/, '');
const at = (path) => BASE + path.replace(/^\//, '').split('/').map(encodeURIComponent).join('/');
const find = (id) => document.getElementById(id);

/** Return an element with properties (`class`, `onclick`, `data-…`, `aria-…`), and children, text or elements. */
function make(tag, properties = {}, ...children) {
  const [name, space] = tag.startsWith('svg:') ? [tag.slice(4), 'http://www.w3.org/2000/svg'] : [tag, 'http://www.w3.org/1999/xhtml'];
  const element = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Return `text` with what cannot be seen, or would garble what is beside it, as Python escapes it; so do errors. */
function visible(text) {
  return String(text).replace(/[\p{C}\p{Z}]/gu, (character) => {
    if (character === ' ') return character;
    const known = { '\t': '\\t', '\n': '\\n', '\r': '\\r' }[character];
    const code = character.codePointAt(0).toString(16);
    return known ?? (code.length < 3 ? `\\x${code.padStart(2, '0')}` : code.length < 5 ? `\\u${code.padStart(4, '0')}` : `\\U${code.padStart(8, '0')}`);
  });
}

/** Return a name that somebody else chose, as an element whose direction ends with it. */
function named(name, tag = 'bdi', properties = {}) {
  const text = visible(name);
  return make(tag, { dir: 'auto', ...properties }, text.trim() ? text : `"${text}"`);
}

/** Return `text` with what stands between backticks as code. */
function prose(text) {
  const parts = String(text).split('`');
  if (parts.length % 2 === 0) return [named(text)];
  return parts.map((part, index) => (index % 2 ? named(part, 'code') : visible(part)));
}

/** A number of a JSON text, digit by digit: JavaScript's own would round long integers. */
class Numeral {
  constructor(text) { this.text = text; }
  valueOf() { return Number(this.text); }
  toString() { return this.text; }
}
const NUMERAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const MARK = `numeral ${Array.from(crypto.getRandomValues(new Uint32Array(4))).join('-')}: `;

/** Return the value of a JSON text, with numbers as `Numeral`s; throws SyntaxError. */
function parse(text) {
  try {
    const marked = text.replace(/"[^"\\]*(?:\\[^][^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
      token.startsWith('"') || !NUMERAL.test(token) ? token : `"${MARK}${token}"`);
    return JSON.parse(marked, (_, value) => typeof value === 'string' && value.startsWith(MARK) ? new Numeral(value.slice(MARK.length)) : value);
  } catch (error) {
    JSON.parse(text); // its message tells of the text itself
    throw error;
  }
}

/** Return a plain value as JSON, what cannot be seen in it as escapes. */
const literal = (value) => JSON.stringify(value).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
  character.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''));

/** Return a value of `parse` as JSON for people: what fits a line stands on one. */
function pretty(value, indent = '', width = 64) {
  if (value instanceof Numeral) return value.text;
  if (value === null || typeof value !== 'object') return literal(value);
  const list = Array.isArray(value);
  const [open, close] = list ? '[]' : '{}';
  const inner = `${indent}  `;
  const parts = Object.entries(value).map(([key, each]) => (list ? '' : `${literal(key)}: `) + pretty(each, inner, width));
  const line = open + parts.join(', ') + close;
  if (!parts.length || (indent.length + line.length <= width && !line.includes('\n'))) return line;
  if (list && parts.every((part) => part.length < 24)) return `${open}\n${packed(parts, inner, width)}\n${indent}${close}`;
  return `${open}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close}`;
}

/** Return short parts with commas between, as many on a line as fit. */
function packed(parts, indent, width) {
  const lines = [''];
  for (const part of parts) {
    const last = lines.length - 1;
    if (lines[last] && indent.length + lines[last].length + part.length > width) lines.push(part);
    else lines[last] += lines[last] ? `, ${part}` : part;
  }
  return lines.map((line) => indent + line).join(',\n');
}

/** Return a body as it is shown: JSON set out, anything else as it came, both cut where nobody reads on. */
function shown(text, most = 200000) {
  let found = text;
  try { found = pretty(parse(text)); } catch { /* no JSON, or deeper than a stack */ }
  return found.length > most ? `${found.slice(0, most)}\n… ${(found.length - most).toLocaleString('en')} more characters` : found;
}

/** Return the message of an error that the server has answered with. */
function messageOf(text) {
  try {
    const value = JSON.parse(text);
    const said = value.message ?? value.error;
    if (typeof said === 'string') return said;
  } catch { /* no JSON: shown as it is */ }
  return text.trim().slice(0, 500) || 'no reason was given';
}

// The key lies in the session's storage and nowhere else; where that is off it lives as long as the page.
const KEY = `modelport key ${BASE}`;
let held = '';
function key() {
  try { return sessionStorage.getItem(KEY) ?? ''; } catch { return held; }
}
function keep(given) {
  try { sessionStorage.setItem(KEY, given); } catch { held = given; }
}

/** Ask the server; returns status, reason, headers, text, and the milliseconds until all of it was here. */
async function ask(address, { method = 'GET', body, type, patience } = {}) {
  const headers = new Headers(type ? { 'content-type': type } : {});
  if (key()) headers.set('authorization', `Bearer ${key()}`);
  const begun = performance.now();
  const signal = patience ? AbortSignal.timeout(patience) : undefined;
  const response = await fetch(address, { method, body, headers, signal, cache: 'no-store' });
  const text = await response.text();
  const spent = performance.now() - begun;
  return { ok: response.ok, status: response.status, reason: response.statusText, headers: response.headers, text, spent };
}

/** Ask the server for JSON, which is returned; throws an error with `status` for any other answer. */
async function askJson(address) {
  const answer = await ask(address);
  if (!answer.ok) throw Object.assign(new Error(messageOf(answer.text)), { status: answer.status });
  return parse(answer.text);
}

/** Put a form for the key in `place`; `again` is called with a new one. Returns what shows it: `wanted` after a 401. */
function keyForm(place, again) {
  const input = make('input', { id: 'key', type: 'password', autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'key-hint' });
  const reason = make('p', { class: 'fill', role: 'status' });
  const said = make('span', { class: 'small', role: 'status' });
  const use = (given) => {
    const sendable = /^[!-~]*$/.test(given);
    said.textContent = !sendable ? 'Expected ASCII without spaces, got something else' : given ? 'Used from now on' : 'No key is sent';
    if (!sendable) return;
    keep(given);
    again();
  };
  const entry = make('div', { class: 'stack' },
    make('label', { for: 'key' }, 'Key', make('span', { class: 'hint', id: 'key-hint' }, 'Kept in this tab until it is closed, sent as ', make('code', {}, 'Authorization: Bearer …'))),
    make('div', { class: 'row' }, make('div', { class: 'fill' }, input), make('button', { class: 'primary' }, 'Use key'), said));
  const inUse = make('div', { class: 'row' },
    make('button', { type: 'button', class: 'slight', onclick: () => { show(true); reason.textContent = 'Another key takes the place of the one from before.'; } }, 'Change'),
    make('button', { type: 'button', class: 'slight', onclick: () => { use(''); show(); input.focus(); } }, 'Forget'));
  const form = make('form', { class: 'card notice key', hidden: true, 'aria-label': 'Key', onsubmit: (event) => { event.preventDefault(); use(input.value.trim()); } },
    make('div', { class: 'row' }, reason, inUse), entry);
  place.append(form);
  function show(wanted = false) {
    const quiet = !wanted && key() !== '';
    form.hidden = false;
    form.classList.toggle('ask', !quiet);
    inUse.hidden = !quiet;
    entry.hidden = quiet;
    input.value = key();
    said.textContent = '';
    if (wanted) reason.textContent = key() ? 'The server does not accept this key.' : 'This server answers those who have a key: type it to go on.';
    else reason.textContent = key() ? 'Your key is sent with every request.' : 'What tells of a model needs a key of this server.';
    if (wanted) input.focus();
  }
  return show;
}

/** Return what `show` makes of the first items, and a button for the rest; all in `li` if those are. */
function someOf(items, show, most = 24) {
  const made = items.slice(0, most).map(show);
  const rest = items.slice(most);
  if (!rest.length) return made;
  const more = make('button', { type: 'button', class: 'slight' }, `Show ${rest.length.toLocaleString('en')} more`);
  const holder = made[0].localName === 'li' ? make('li', {}, more) : more;
  more.addEventListener('click', () => {
    const added = someOf(rest, show, 200);
    holder.replaceWith(...added);
    added[0].tabIndex = -1;
    added[0].focus();
  });
  return [...made, holder];
}

/** Put `text` on the clipboard, also where a page without TLS may not ask for it. */
async function copy(text, source) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand('copy');
  }
}

const milliseconds = (spent) => `${spent < 10 ? spent.toFixed(1) : Math.round(spent).toLocaleString('en')} ms`;

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault(); // the address keeps what it says of the page
  find('main').focus();
});
for (const link of document.querySelectorAll('a[data-page]')) link.href = at(link.dataset.page);
