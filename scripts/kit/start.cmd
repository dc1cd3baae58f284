@echo off
rem Checks this kit, loads its images into Docker, and starts the lab. It needs the docker command and nothing else.
setlocal
set "machine=windows-amd64"
if /i "%PROCESSOR_ARCHITECTURE%"=="ARM64" set "machine=windows-arm64"
if exist "%~dp0programs\%machine%\lab.exe" goto start
echo error: the kit has no program for %machine%, or was not unpacked to its end 1>&2
echo hint: copy the kit's file and unpack it again; nothing was loaded 1>&2
exit /b 1
:start
"%~dp0programs\%machine%\lab.exe" kit-start "%~dp0."
exit /b %ERRORLEVEL%
