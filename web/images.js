// Pictures: what WebGPU copies from as it is, and what has to become an ImageBitmap first.

import { failure } from './errors.js';

const kind = (value) => Object.prototype.toString.call(value).slice(8, -1);

/** Pixels as they are in the file: no colour profile, no multiplication by alpha, upright. */
const asStored = { colorSpaceConversion: 'none', premultiplyAlpha: 'none', imageOrientation: 'from-image' };

export async function pictureOf(input) {
  switch (kind(input)) {
    case 'HTMLImageElement':
      try {
        await input.decode();
      } catch (error) {
        throw failure('ImageError', `${input.currentSrc || 'the image'}: could not be decoded`, error);
      }
      // The element's own pixels are converted to the screen's colours.
      return createImageBitmap(input, asStored);
    case 'Blob':
    case 'File':
      try {
        return await createImageBitmap(input, asStored);
      } catch (error) {
        throw failure('ImageError', `${input.name ?? 'the image'}: no picture that this browser can decode, or too large`, error);
      }
    case 'HTMLVideoElement':
      if (input.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
        throw failure('ImageError', 'the video has no frame yet: wait for its `loadeddata` event');
      }
    // WebGPU copies from a frame itself only where the browser draws on a GPU.
    // falls through
    case 'VideoFrame':
      try {
        return await createImageBitmap(input);
      } catch (error) {
        throw failure('ImageError', 'the frame could not be read (closed, or of another origin?)', error);
      }
    case 'ImageBitmap':
    case 'ImageData':
    case 'OffscreenCanvas':
    case 'HTMLCanvasElement':
      return input;
    default:
      throw failure('BadInputError', `input: a ${kind(input)} is neither a picture nor a Float32Array`);
  }
}

export function sizeOf(picture) {
  const size = [
    picture.videoWidth ?? picture.displayWidth ?? picture.width,
    picture.videoHeight ?? picture.displayHeight ?? picture.height,
  ];
  if (size[0] > 0 && size[1] > 0) return size;
  throw failure('ImageError', `${size[0]} x ${size[1]} pixels: there is nothing to see (closed, or not loaded yet?)`);
}
