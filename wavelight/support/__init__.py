"""Support for any program: files, tables, figures, pictures, devices, errors."""
