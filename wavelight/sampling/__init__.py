"""Images outside a run: the folder of generated images, the upscaler, tiles."""
