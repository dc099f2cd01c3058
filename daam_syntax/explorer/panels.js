// The pictures of the page: the picture itself, maps over it, and two masks over each other.

const SHARED = "#111111";
const STRONGEST = 0.85; // opacity where attention is highest: the picture still shows through

function rgb(hex) {
  return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
}

/** The pixels of a picture: as they are, and grey and lightened, so that colour means attention only. */
async function loadPixels(source, [height, width]) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  const colours = context.getImageData(0, 0, width, height);
  const grey = new Uint8ClampedArray(width * height);
  for (let i = 0; i < grey.length; i++) {
    const [r, g, b] = colours.data.subarray(4 * i, 4 * i + 3);
    grey[i] = 63.75 + 0.75 * (0.299 * r + 0.587 * g + 0.114 * b);
  }
  return { colours, grey };
}

/** Mix colours into the grey picture: `paint(i)` names the palette's colour of a pixel, `opacity(i)` how much of it. */
function tinted(pixels, palette, paint, opacity) {
  const { width, height } = pixels.colours;
  const result = new ImageData(width, height);
  for (let i = 0; i < pixels.grey.length; i++) {
    const share = opacity(i);
    const colour = palette[paint(i)];
    for (let channel = 0; channel < 3; channel++) {
      result.data[4 * i + channel] = pixels.grey[i] * (1 - share) + colour[channel] * share;
    }
    result.data[4 * i + 3] = 255;
  }
  return result;
}

/** A word's map over the picture; colours run from 0 to `top`. */
function mapImage(pixels, map, top, colours) {
  const share = (i) => Math.min(1, map[i] / (top || 1));
  const paint = (i) => Math.round(share(i) * (colours.length - 1));
  return tinted(pixels, colours, paint, (i) => STRONGEST * Math.sqrt(share(i)));
}

/** Two masks over the picture: each in its colour, and what they share. */
function masksImage(pixels, head, dependent, headColour, dependentColour) {
  const opacities = [0, 0.62, 0.62, 0.72]; // of neither, the head's, the dependent's, both
  const palette = [[0, 0, 0], headColour, dependentColour, rgb(SHARED)];
  const paint = (i) => head[i] + 2 * dependent[i];
  return tinted(pixels, palette, paint, (i) => opacities[paint(i)]);
}

/** Show an image on a canvas, so large that outlines of masks are thin lines; `outlines` are [mask, colour]. */
function show(canvas, image, outlines = []) {
  const scale = Math.max(1, Math.round(640 / Math.max(image.width, image.height)));
  const source = document.createElement("canvas");
  [source.width, source.height] = [image.width, image.height];
  source.getContext("2d").putImageData(image, 0, 0);
  [canvas.width, canvas.height] = [image.width * scale, image.height * scale];
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  for (const [mask, colour] of outlines) {
    const path = new Path2D();
    traceOutline(path, mask, image.width, image.height, scale);
    for (const [style, width] of [["#ffffff", 5], [colour, 2.5]]) {
      context.strokeStyle = style;
      context.lineWidth = (width * canvas.width) / 640;
      context.stroke(path);
    }
  }
}

/** Add every edge between a pixel of a mask and one outside it to a path. */
function traceOutline(path, mask, width, height, scale) {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inside = mask[y * width + x];
      if (x + 1 < width && inside !== mask[y * width + x + 1]) {
        path.moveTo((x + 1) * scale, y * scale);
        path.lineTo((x + 1) * scale, (y + 1) * scale);
      }
      if (y + 1 < height && inside !== mask[(y + 1) * width + x]) {
        path.moveTo(x * scale, (y + 1) * scale);
        path.lineTo((x + 1) * scale, (y + 1) * scale);
      }
    }
  }
}
