"""What any program needs: files, tables, figures, pictures, devices, errors."""
