mod nowhere;
