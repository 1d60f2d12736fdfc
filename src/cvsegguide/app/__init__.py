"""The web page: drop an overhead image and a street view, read where the picture was taken.

:mod:`~cvsegguide.app.server` answers requests, :mod:`~cvsegguide.app.uploads` lets files in,
:mod:`~cvsegguide.app.sessions` keeps what people brought apart and for a while,
:mod:`~cvsegguide.app.worker` localises one pair after the other, and
:mod:`~cvsegguide.app.layers` turns an answer into pictures and numbers for the page, which lies in
``static/``. The page asks this server alone; nothing of it comes from anywhere else.
"""
