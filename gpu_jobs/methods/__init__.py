"""Methods, one file each, in a folder per family. The registry reads the folders; nothing is listed anywhere."""
