#!/usr/bin/env python3
"""Writes tests/fixtures/: small pictures in every odd form a user may bring. Needs Pillow.

    python3 scripts/make_image_fixtures.py [tests/fixtures]

The upright picture is 24 x 16 pixels: red and green quarters above, blue and pale ones below.
`r`, `g`, `b`, `pale` below are the colours that tests/it/preprocess.rs expects.
"""
import os
import struct
import sys
import zlib

from PIL import Image, ImageOps, PngImagePlugin

OUT = sys.argv[1] if len(sys.argv) > 1 else "tests/fixtures"
W, H = 24, 16
R, G, B, PALE = (220, 40, 30), (30, 180, 60), (40, 60, 200), (240, 235, 225)
QUARTERS = (R, G, B, PALE)


def quarters(colours=QUARTERS, mode="RGB"):
    im = Image.new(mode, (W, H))
    for i, c in enumerate(colours):
        im.paste(c, (i % 2 * 12, i // 2 * 8, i % 2 * 12 + 12, i // 2 * 8 + 8))
    return im


def path(name):
    return os.path.join(OUT, name)


def check(name, want, tolerance=0):
    """Pillow itself must see the quarters that the tests expect."""
    im = Image.open(path(name)).convert("RGB")
    for i, c in enumerate(want):
        got = im.getpixel((i % 2 * 12 + 6, i // 2 * 8 + 4))
        assert max(abs(a - b) for a, b in zip(got, c)) <= tolerance, (name, i, got, c)


def png(width, height, depth, colour, rows):
    """A PNG by hand: Pillow writes no 16-bit RGB, and no header that lies."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def write(name, data):
    with open(path(name), "wb") as f:
        f.write(data)


os.makedirs(OUT, exist_ok=True)
rgb = quarters()

# Plain.
for name, args in {"rgb.png": {}, "rgb.bmp": {}, "rgb.tiff": {"compression": "tiff_lzw"}, "rgb.webp": {"lossless": True}}.items():
    rgb.save(path(name), **args)
    check(name, QUARTERS)
rgb.save(path("rgb.jpg"), quality=95, subsampling=0)
rgb.save(path("progressive.jpg"), quality=95, subsampling=0, progressive=True)
rgb.save(path("lossy.webp"), quality=95)
check("rgb.jpg", QUARTERS, 3)
check("progressive.jpg", QUARTERS, 3)
check("lossy.webp", QUARTERS, 8)

# Channels.
GREYS = (10, 100, 180, 250)
grey = quarters(GREYS, "L")
grey.save(path("grey.png"))
grey.save(path("grey.jpg"), quality=95)
check("grey.png", [(v,) * 3 for v in GREYS])
check("grey.jpg", [(v,) * 3 for v in GREYS], 2)
quarters([(v, 128) for v in GREYS], "LA").save(path("grey_alpha.png"))
quarters([c + (a,) for c, a in zip(QUARTERS, (0, 1, 128, 255))], "RGBA").save(path("alpha.png"))
check("alpha.png", QUARTERS)
quarters((0, 1, 1, 0), "1").save(path("one_bit.png"))
palette = rgb.quantize(4)
palette.save(path("palette.png"), transparency=palette.getpixel((0, 0)))
check("palette.png", QUARTERS)
quarters([tuple(255 - v for v in c) + (0,) for c in QUARTERS], "CMYK").save(path("cmyk.jpg"), quality=95)
check("cmyk.jpg", QUARTERS, 3)
quarters([(0, 128, 255, 64)] * 4, "CMYK").save(path("cmyk_black.jpg"), quality=95)
check("cmyk_black.jpg", [(191, 95, 0)] * 4, 3)

# 16 bits: value * 257 plus something that rounding must drop.
rows16 = b"".join(b"\0" + b"".join(struct.pack(">3H", *(v * 257 - 100 for v in QUARTERS[x // 12 + y // 8 * 2])) for x in range(W)) for y in range(H))
write("rgb16.png", png(W, H, 16, 2, rows16))
rows16 = b"".join(b"\0" + b"".join(struct.pack(">H", GREYS[x // 12 + y // 8 * 2] * 257 + 100) for x in range(W)) for y in range(H))
write("grey16.png", png(W, H, 16, 0, rows16))

# EXIF orientation: stored turned, so that applying the tag gives the upright picture.
T = Image.Transpose
STORED = {2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270}
for tag, turn in STORED.items():
    exif = Image.Exif()
    exif[0x0112] = tag
    name = "exif%d.jpg" % tag
    rgb.transpose(turn).save(path(name), quality=95, subsampling=0, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(path(name)))
    assert upright.size == (W, H) and all(abs(a - b) < 4 for a, b in zip(upright.getpixel((6, 4)), R)), name
    if tag == 6:
        rgb.transpose(turn).save(path("exif6.png"), exif=exif)
        rgb.transpose(turn).save(path("exif6.webp"), lossless=True, exif=exif)
data = open(path("exif6.jpg"), "rb").read()
at = data.index(b"Exif\0\0") + 6
write("exif_damaged.jpg", data[:at] + b"\xee" * 8 + data[at + 8:])

# Animations: the first frame has the quarters, the others are black.
black = Image.new("RGB", (W, H))
palette.save(path("animated.gif"), save_all=True, append_images=[black.quantize(4)], duration=100, loop=0)
rgb.save(path("animated.webp"), save_all=True, append_images=[black, black], duration=100, lossless=True)
check("animated.gif", QUARTERS)
check("animated.webp", QUARTERS)

# Cut in the middle. A picture of noise, so that the pixels fill the file.
noise = Image.frombytes("RGB", (32, 32), bytes(zlib.crc32(struct.pack("<I", i)) & 255 for i in range(32 * 32 * 3)))
for name, args in {"png": {}, "jpg": {"quality": 90}, "gif": {}, "webp": {"lossless": True}, "bmp": {}, "tiff": {}}.items():
    noise.save(path("truncated." + name), **args)
    data = open(path("truncated." + name), "rb").read()
    write("truncated." + name, data[: len(data) * 2 // 3])
exif = Image.Exif()
noise.resize((16, 16)).save(path("truncated_thumbnail.jpg"), quality=90)
thumb = open(path("truncated_thumbnail.jpg"), "rb").read()
noise.save(path("truncated_thumbnail.jpg"), quality=90, comment=thumb)  # carries a whole JPEG, end marker included
data = open(path("truncated_thumbnail.jpg"), "rb").read()
write("truncated_thumbnail.jpg", data[: len(data) - 400])

# Headers that promise far too much.
write("bomb.png", png(60000, 60000, 8, 6, bytes(4096)))
data = bytearray(open(path("rgb.jpg"), "rb").read())
at = data.index(b"\xff\xc0")
data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
write("bomb.jpg", bytes(data))
data = bytearray(open(path("animated.gif"), "rb").read())
data[6:10] = struct.pack("<HH", 65000, 65000)
write("bomb.gif", bytes(data))
data = bytearray(open(path("rgb.bmp"), "rb").read())
data[18:26] = struct.pack("<ii", 60000, 60000)
write("bomb.bmp", bytes(data))
data = bytearray(open(path("rgb.webp"), "rb").read())
at = data.index(b"VP8L") + 9
bits = struct.unpack("<I", data[at : at + 4])[0]
data[at : at + 4] = struct.pack("<I", bits & ~0xFFFFFFF | 16382 | 16382 << 14)
write("bomb.webp", bytes(data))

# Small and narrow.
Image.new("RGB", (1, 1), R).save(path("one_pixel.png"))
Image.new("RGB", (1, 5000), G).save(path("narrow.png"))

sizes = {n: os.path.getsize(path(n)) for n in sorted(os.listdir(OUT))}
assert max(sizes.values()) < 10240, sizes
print("%d files, %d bytes" % (len(sizes), sum(sizes.values())))
