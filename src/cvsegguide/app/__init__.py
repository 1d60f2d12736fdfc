"""The web page: drop an overhead image and a street view, read where the picture was taken."""
