"""The endings by which a file is taken for an image; no torch is needed to know them."""

READ_BY_PILLOW = (
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .avif .avifs .gif .bmp .dib .tif .tiff .jp2 .j2k .j2c .jpc .jpf .jpx "
    ".ppm .pgm .pbm .pnm .pfm .tga .icb .vda .vst .pcx .dcx .sgi .rgb .rgba .bw .dds .psd .qoi .ras .msp .xbm .xpm "
    ".ico .icns .cur .blp .ftc .ftu .fli .flc .pcd .pxr"
)
OF_CAMERAS = (  # many are TIFF files, of which Pillow would read the thumbnail
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl "
    ".sr2 .srf .srw .x3f"
)
ENDINGS, RAW = frozenset(READ_BY_PILLOW.split()), frozenset(OF_CAMERAS.split())  # of files taken for images
UNREADABLE = RAW | {".heic", ".heif", ".hif", ".jxl"}
TAKEN = ENDINGS | UNREADABLE  # the latter to be named as broken: they belong to the set
