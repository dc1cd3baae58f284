@echo off
rem Runs the program lab, and builds it first if necessary, as scripts/lab does: on Windows, in cmd and in PowerShell.
setlocal
pushd "%~dp0.."
set "root=%CD%"
popd
set "bin=%root%\.cache\bin"
set "reason=first start"
if not exist "%bin%\lab.exe" goto build
"%bin%\lab.exe" "--dir=%root%" %*
rem 75: its sources have changed since it was compiled.
if not "%ERRORLEVEL%"=="75" exit /b %ERRORLEVEL%
set "reason=its sources have changed"

:build
if exist "%bin%\new" rmdir /s /q "%bin%\new"
mkdir "%bin%\new" 2>nul
echo %reason%>"%bin%\build.log"
if not exist "%bin%\build.log" goto unwritable
if exist "%root%\.cache\prebuilt" goto withgo
docker compose version >nul 2>nul
if errorlevel 1 goto withgo
echo %reason%: building the program lab in the Go image, a minute or two 1>&2
for %%V in (COMPOSE_FILE COMPOSE_PROFILES COMPOSE_ENV_FILES COMPOSE_DISABLE_ENV_FILE DOCKER_DEFAULT_PLATFORM DOCKER_BUILDKIT BUILDX_BUILDER) do set "%%V="
set "HOST_OS=windows"
set "HOST_ARCH=amd64"
if /i "%PROCESSOR_ARCHITECTURE%"=="ARM64" set "HOST_ARCH=arm64"
docker compose --project-directory "%root%" --file "%root%\services\lab\compose.yaml" build --quiet >>"%bin%\build.log" 2>&1
if errorlevel 1 goto withgo
set "container=spiffe-lab-program-%RANDOM%"
docker create --name %container% spiffe-lab/lab:windows-%HOST_ARCH% lab >nul
if errorlevel 1 goto withgo
docker cp %container%:/programs/. "%bin%\new" >nul
docker rm %container% >nul
if exist "%bin%\new\lab.exe" goto built

:withgo
go version >nul 2>nul
if errorlevel 1 goto failed
echo %reason%: building the program lab with this machine's Go, a minute or less 1>&2
for %%V in (GOOS GOARCH) do set "%%V="
set "GOWORK=off"
set "GO111MODULE=on"
set "GOFLAGS=-mod=readonly"
pushd "%root%"
go run ./services/lab/build -o "%bin%\new" >>"%bin%\build.log" 2>&1
popd
if exist "%bin%\new\lab.exe" goto built

:failed
type "%bin%\build.log" 1>&2
echo error: the program lab could not be built: there is no Go image, and Go is missing or failed 1>&2
echo hint: let Docker pull the Go image, or install Go 1.26 or newer (https://go.dev/dl/) 1>&2
exit /b 1

:unwritable
echo error: %bin% cannot be written 1>&2
echo hint: copy the folder to a place that you may write to 1>&2
exit /b 1

:built
move /y "%bin%\new\*.exe" "%bin%" >nul
rmdir "%bin%\new"
"%bin%\lab.exe" "--dir=%root%" %*
exit /b %ERRORLEVEL%
