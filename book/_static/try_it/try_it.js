// The figure of "Try it here": SAM's prompt encoder and mask decoder, run by onnxruntime-web.
//
// All numbers and files come from samnb/browser/assets.py by way of try_it.json. The image encoder
// is not here: each slice brings its embeddings, one of the frozen SAM and one of the adapted SAM.

const HERE = import.meta.url;
const RUNTIME = new URL("../npm/onnxruntime-web/", HERE).href;
const ANSWERS = ["single", "first", "second", "third"];
const SAMS = ["frozen SAM", "SAM with LoRA"];
const PADDING = -1, FOREGROUND = 1, TOP_LEFT = 2, BOTTOM_RIGHT = 3; // kinds of tokens
const DRAG = 3; // pixels of the slice; a shorter drag is a click
const SMALLEST = 4; // side of a box
const STEP = 2; // of an arrow key
const PAUSE = 500; // milliseconds of rest before the answer is read aloud

const find = (name) => document.getElementById(`try-it-${name}`);
const picture = find("picture");

let about, ort, decoder; // what try_it.json says, the runtime, the session
let slice, image; // the slice shown, its picture
let sam = 0; // 0 frozen, 1 adapted
let prompt; // {box: [x, y, x, y]} or {point: [x, y]}
let picked = null; // the answer the reader chose; null: the one SAM would give
let answer; // {masks: four Uint8Array, scores, overlaps, milliseconds}
const embeddings = new Map(); // file -> [frozen, adapted]

// ---- SAM

// The tokens of the prompt, as samnb.networks.sam.prompting lays them out.
function tokens() {
  if (prompt.box) return { places: prompt.box, kinds: [TOP_LEFT, BOTTOM_RIGHT] };
  return { places: [...prompt.point, 0, 0], kinds: [FOREGROUND, PADDING] };
}

async function decode() {
  const { places, kinds } = tokens();
  const embedding = (await embeddingsOf(slice))[sam];
  const began = performance.now();
  const { logits, scores } = await decoder.run({
    embedding,
    places: new ort.Tensor("float32", places, [1, kinds.length, 2]),
    kinds: new ort.Tensor("int32", kinds, [1, kinds.length]),
  });
  const milliseconds = performance.now() - began;
  const size = about.side ** 2;
  const masks = ANSWERS.map((_, place) =>
    Uint8Array.from(logits.data.subarray(place * size, (place + 1) * size), (logit) => logit > 0));
  const overlaps = masks.map((mask) => overlap(mask, slice.mask));
  return { masks, scores: [...scores.data].map((score) => Math.max(score, 0)), overlaps, milliseconds };
}

async function embeddingsOf({ embeddings: file }) {
  if (!embeddings.has(file)) {
    const values = new Uint16Array(await (await load(file)).arrayBuffer()); // half precision
    const half = values.length / 2;
    embeddings.set(file, SAMS.map((_, row) =>
      new ort.Tensor("float16", values.slice(row * half, (row + 1) * half), [1, ...about.embedding])));
  }
  return embeddings.get(file);
}

function overlap(one, other) {
  let both = 0, either = 0;
  for (let i = 0; i < one.length; i++) {
    both += one[i] & other[i];
    either += one[i] | other[i];
  }
  return either ? both / either : 1;
}

// A box is answered by the single mask, an ambiguous click by the best of the three.
function chosen() {
  if (picked !== null) return picked;
  if (prompt.box) return 0;
  return answer.scores.indexOf(Math.max(...answer.scores.slice(1)), 1);
}

// One decoding at a time; whatever changed meanwhile is answered by the next.
let busy = false, stale = false;
async function update() {
  stale = true;
  if (busy) return;
  busy = true;
  try {
    while (stale) {
      stale = false;
      const next = await decode();
      if (stale) continue;
      answer = next;
      show();
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    fail(error);
  } finally {
    busy = false;
  }
}

// ---- What is seen

function show() {
  const place = chosen(), truth = find("truth").checked;
  drawPicture(answer.masks[place], truth);
  ANSWERS.forEach((name, row) => {
    const tile = find(`answer-${row}`);
    tile.querySelector("input").checked = row === place;
    drawTile(tile.querySelector("canvas"), answer.masks[row]);
    const is = truth ? `<br>is ${answer.overlaps[row].toFixed(2)}` : "";
    tile.querySelector("span").innerHTML =
      `<b>${name}</b><br>says ${answer.scores[row].toFixed(2)}${is}`;
  });
  find("time").textContent = `Decoded in ${answer.milliseconds.toFixed(0)} ms.`;
  picture.dataset.milliseconds = answer.milliseconds;
  announceSoon(place);
}

function drawPicture(mask, truth) {
  const side = picture.clientWidth, dots = window.devicePixelRatio || 1;
  picture.width = picture.height = Math.round(side * dots);
  const context = picture.getContext("2d");
  const scale = picture.width / about.side;
  context.scale(scale, scale); // from here on in pixels of the slice
  context.drawImage(image, 0, 0, about.side, about.side);
  context.imageSmoothingEnabled = false;
  context.drawImage(tinted(mask), 0, 0, about.side, about.side);
  context.lineWidth = (1.5 * dots) / scale;
  stroke(context, outline(mask), about.colours.prediction);
  if (truth) stroke(context, slice.outline, about.colours.truth);
  context.lineWidth = (2.5 * dots) / scale;
  stroke(context, promptPath((6 * dots) / scale), about.colours.prompt);
}

function drawTile(canvas, mask) {
  canvas.width = canvas.height = about.side;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  context.drawImage(tinted(mask), 0, 0);
}

function stroke(context, path, colour) {
  context.strokeStyle = colour;
  context.stroke(path);
}

// The box, or a ring with a cross around the point.
function promptPath(radius) {
  const path = new Path2D();
  if (prompt.box) {
    const [left, top, right, bottom] = prompt.box;
    path.rect(left, top, right - left, bottom - top);
    return path;
  }
  const [x, y] = prompt.point.map((value) => value + 0.5); // the middle of the pixel
  path.arc(x, y, radius, 0, 2 * Math.PI);
  for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    path.moveTo(x + across * radius * 0.4, y + down * radius * 0.4);
    path.lineTo(x + across * radius * 1.5, y + down * radius * 1.5);
  }
  return path;
}

// A canvas of the slice's size with the mask as a tinted area.
function tinted(mask) {
  const canvas = new OffscreenCanvas(about.side, about.side);
  const context = canvas.getContext("2d");
  const area = context.createImageData(about.side, about.side);
  const [red, green, blue] = about.colours.prediction.match(/\w\w/g).map((part) => parseInt(part, 16));
  mask.forEach((inside, i) => area.data.set([red, green, blue, inside ? 115 : 0], 4 * i));
  context.putImageData(area, 0, 0);
  return canvas;
}

// The edges between pixels inside and outside of a mask.
function outline(mask) {
  const path = new Path2D(), side = about.side;
  const at = (x, y) => x >= 0 && y >= 0 && x < side && y < side && mask[y * side + x] === 1;
  for (let y = 0; y <= side; y++) {
    for (let x = 0; x <= side; x++) {
      if (at(x, y) !== at(x - 1, y)) {
        path.moveTo(x, y);
        path.lineTo(x, y + 1);
      }
      if (at(x, y) !== at(x, y - 1)) {
        path.moveTo(x, y);
        path.lineTo(x + 1, y);
      }
    }
  }
  return path;
}

// Read aloud only what the reader rests on, not every step of a drag.
let waiting;
function announceSoon(place) {
  const where = prompt.box
    ? `Box from ${prompt.box.slice(0, 2).map(Math.round)} to ${prompt.box.slice(2).map(Math.round)}`
    : `Point at ${prompt.point.map(Math.round)}`;
  const pixels = answer.masks[place].reduce((sum, inside) => sum + inside, 0);
  const is = find("truth").checked
    ? `; with the liver it overlaps by ${answer.overlaps[place].toFixed(2)}` : "";
  const text = `${where}. The ${SAMS[sam]}, ${ANSWERS[place]} answer: ${pixels} pixels, ` +
    `predicted overlap ${answer.scores[place].toFixed(2)}${is}.`;
  clearTimeout(waiting);
  waiting = setTimeout(() => { find("status").textContent = text; }, PAUSE);
}

// ---- What the reader does

const within = (value, low = 0, high = about.side) => Math.min(Math.max(value, low), high);

function ask(next) {
  prompt = next;
  return update();
}

function placeOf(event) {
  const frame = picture.getBoundingClientRect();
  return [
    within(((event.clientX - frame.left) / frame.width) * about.side),
    within(((event.clientY - frame.top) / frame.height) * about.side),
  ];
}

function boxBetween([x, y], [u, v]) {
  const box = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
  for (const axis of [0, 1]) {
    box[axis] = Math.min(box[axis], about.side - SMALLEST);
    box[axis + 2] = Math.max(box[axis + 2], box[axis] + SMALLEST);
  }
  return { box };
}

let start = null; // where a drag began
function listenToPointer() {
  picture.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button) return;
    picture.setPointerCapture(event.pointerId);
    start = placeOf(event);
    picked = null;
    ask({ point: start });
  });
  picture.addEventListener("pointermove", (event) => {
    if (!start || !event.isPrimary) return;
    const here = placeOf(event);
    if (prompt.box || Math.hypot(here[0] - start[0], here[1] - start[1]) > DRAG) {
      ask(boxBetween(start, here));
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, () => { start = null; });
  }
}

const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

function listenToKeys() {
  picture.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in ARROWS) move(ARROWS[event.key], event.shiftKey);
    else if (event.key === " ") exchange();
    else if (/^[1-4]$/.test(event.key)) pick(Number(event.key) - 1);
    else if (event.key.toLowerCase() === "l") find(`sam-${1 - sam}`).click();
    else return;
    event.preventDefault(); // else the page would scroll
  });
}

// Moves the prompt; with Shift only the lower right corner of a box.
function move([across, down], resize) {
  if (prompt.point) {
    const [x, y] = prompt.point;
    return ask({ point: [within(x + across), within(y + down)] });
  }
  const [left, top, right, bottom] = prompt.box;
  if (resize) {
    const far = [within(right + across, left + SMALLEST), within(bottom + down, top + SMALLEST)];
    return ask({ box: [left, top, ...far] });
  }
  const x = within(across, -left, about.side - right), y = within(down, -top, about.side - bottom);
  ask({ box: [left + x, top + y, right + x, bottom + y] });
}

// A box becomes the point in its middle, a point a box around it.
function exchange() {
  picked = null;
  if (prompt.box) {
    const [left, top, right, bottom] = prompt.box;
    return ask({ point: [(left + right) / 2, (top + bottom) / 2] });
  }
  const [x, y] = prompt.point, reach = about.side / 8;
  const low = [within(x - reach), within(y - reach)], high = [within(x + reach), within(y + reach)];
  ask(boxBetween(low, high));
}

function pick(place) {
  picked = place;
  if (answer) show();
}

// ---- Beginning

async function load(name) {
  const reply = await fetch(new URL(name, HERE));
  if (!reply.ok) throw new Error(`${name} is not there`);
  return reply;
}

async function choose(number) {
  slice = about.slices[number];
  slice.mask ??= unpack(slice.truth);
  slice.outline ??= outline(slice.mask);
  const next = new Image();
  next.src = new URL(slice.picture, HERE);
  await next.decode();
  image = next;
  picked = null;
  return ask({ box: slice.box });
}

// Lengths of runs, background first -> mask.
function unpack(runs) {
  const mask = new Uint8Array(about.side ** 2);
  let end = 0;
  runs.forEach((length, row) => mask.fill(row % 2, end, (end += length)));
  return mask;
}

function layOut() {
  about.slices.forEach(({ picture: file }, number) => {
    find("slices").insertAdjacentHTML("beforeend",
      `<label><input type="radio" name="try-it-slice" value="${number}"${number ? "" : " checked"}>
       <img src="${new URL(file, HERE)}" width="44" height="44" alt="Slice ${number + 1}"></label>`);
  });
  ANSWERS.forEach((_, place) => {
    find("answers").insertAdjacentHTML("beforeend",
      `<label id="try-it-answer-${place}"><input type="radio" name="try-it-answer" value="${place}">
       <canvas aria-hidden="true"></canvas><span></span></label>`);
  });
  find("labels").textContent = about.labels;
  find("slices").addEventListener("change", (event) => choose(event.target.value));
  find("answers").addEventListener("change", (event) => pick(Number(event.target.value)));
  find("sams").addEventListener("change", (event) => {
    sam = Number(event.target.value);
    update();
  });
  find("truth").addEventListener("change", show);
  new ResizeObserver(() => answer && show()).observe(picture);
}

function fail(error) {
  find("loading").textContent = `The figure cannot run here (${error.message}). The picture shows what it would do.`;
  document.getElementById("try-it").hidden = true;
  document.querySelector(".try-it-still").hidden = false;
}

async function begin() {
  find("loading").textContent = "Loading SAM, about as much as a few photographs …";
  about = await (await load("try_it.json")).json();
  ort = await import(`${RUNTIME}ort.wasm.min.mjs`).catch(() => {
    throw new Error("this site was built without npm or without a network");
  });
  ort.env.wasm.wasmPaths = RUNTIME;
  ort.env.wasm.numThreads = 1; // more would need headers that plain web servers do not send
  ort.env.logLevel = "error";
  decoder = await ort.InferenceSession.create(new URL(about.decoder, HERE).href, { logSeverityLevel: 3 });
  layOut();
  listenToPointer();
  listenToKeys();
  document.querySelector(".try-it-still").hidden = true;
  document.getElementById("try-it").hidden = false;
  await choose(0);
  await update(); // the first decoding is slow, since the runtime is still cold; show the usual time
}

begin().catch(fail);
